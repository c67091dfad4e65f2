// @ts-check
/** 简体中文。 */

export default {
  // The frame around all sections
  "frame.title": "隔离的节点包",
  "frame.sections": "分区",
  "section.packs": "节点包",
  "section.workers": "进程",
  "section.disk": "磁盘",
  "section.settings": "设置",
  "section.help": "帮助",
  "frame.loading": "正在询问 ComfyUI …",
  "frame.lost": "与 ComfyUI 的连接已断开。当前显示的是断开前的内容；面板会自动重新连接。",
  "frame.found_again": "已重新连接。",
  "frame.unreachable": "ComfyUI 没有响应。",
  "frame.unreachable_remedy": "请检查它是否正在运行。面板会自动重新连接。",
  "frame.own_mistake": "面板出错：{error}。",
  "frame.read_only": "无法从这里更改任何内容。",
  "frame.became": "{pack}：{state}。",
  "frame.dismiss": "关闭",
  "dialog.cancel": "取消",

  // States of packs
  "state.failed": "失败",
  "state.mistake": "配置文件有误",
  "state.stale": "已过期",
  "state.unbuilt": "未构建",
  "state.building": "构建中",
  "state.queued": "等待中",
  "state.describing": "正在加载节点",
  "state.ready": "就绪",
};

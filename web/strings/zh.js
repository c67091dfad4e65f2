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

  // ComfyUI's own page: messages, settings dialog
  "comfyui.ready": "已就绪：{packs}",
  "comfyui.nodes_available": { other: "{count} 个节点现在可用。" },
  "comfyui.node_failed": "{pack} 的节点 {node} 运行失败",
  "comfyui.show_worker_log": "查看进程日志",
  "comfyui.log_is_in_tab": "进程日志在侧边栏的 comfy-env 标签页中。",
  "comfyui.no_panel": "无法加载面板：{error}。请刷新页面。",
  "comfyui.settings_canvas": "画布",
  "comfyui.settings_badges": "显示隔离节点的运行位置",
  "comfyui.settings_badges_help": "以徽标显示节点包及其 Python 版本。使用 Vue 节点时，刷新页面后生效。",
  "comfyui.settings_messages": "消息",
  "comfyui.settings_toasts": "节点可用或运行失败时提示",
  "comfyui.settings_toasts_help": "comfy-env 标签页始终会显示这些信息。",
};

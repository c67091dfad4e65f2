"""Schemas without surprises, and what is called beside `execute`."""

import folder_paths
from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder


class Hidden(io.ComfyNode):
    """Says what it finds in `cls.hidden`."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Hidden",
            display_name="V3: what is hidden",
            category="v3/plain",
            description="Shows its own id",
            inputs=[
                io.String.Input("note", default="", multiline=True, tooltip="is kept in the picture"),
                io.Float.Input(
                    "much",
                    default=0.5,
                    min=0.0,
                    max=float(2**53),
                    step=0.1,
                    display_mode=io.NumberDisplay.slider,
                ),
                io.Combo.Input("lora", options=["None"] + folder_paths.get_filename_list("loras")),
            ],
            outputs=[
                io.String.Output("shown", display_name="text", tooltip="all of it"),
                io.AnyType.Output(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, note, much, lora):
        hidden = cls.hidden
        classes = sorted(node["class_type"] for node in hidden.prompt.values())
        if hidden.extra_pnginfo is not None:
            hidden.extra_pnginfo["note"] = note
        shown = {
            "id": hidden.unique_id,
            "classes": classes,
            "same": hidden.dynprompt.get_node(hidden.unique_id)["class_type"],
            "token": hidden.auth_token_comfy_org,
            "name": cls.__name__,
        }
        return io.NodeOutput(str(shown), much, ui={"shown": [shown]})


class Account(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Account",
            inputs=[],
            outputs=[],
            hidden=[io.Hidden.api_key_comfy_org],
            is_output_node=True,
            is_experimental=True,
            not_idempotent=True,
        )

    @classmethod
    def execute(cls):
        return io.NodeOutput(
            ui={"key": [cls.hidden.api_key_comfy_org], "token": [cls.hidden.auth_token_comfy_org]}
        )


class Picky(io.ComfyNode):
    """Validates, fingerprints, and counts its runs in a class attribute, which ComfyUI forbids."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Picky",
            category="v3/plain",
            inputs=[
                io.Int.Input("step", default=1, min=0, max=100),
                io.Boolean.Input("write", optional=True),
            ],
            outputs=[io.Int.Output()],
            is_output_node=True,
            is_deprecated=True,
        )

    @classmethod
    def validate_inputs(cls, step):
        return "13 brings bad luck" if step == 13 else True

    @classmethod
    async def fingerprint_inputs(cls, step, write=False):
        return step // 10

    @classmethod
    async def execute(cls, step, write=False):
        if write:
            cls.runs = 1
        return io.NodeOutput(step, ui=ui.PreviewText(f"step {step}"))


class Lazy(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Lazy",
            inputs=[
                io.Boolean.Input("which"),
                io.AnyType.Input("yes", lazy=True, optional=True),
                io.AnyType.Input("no", lazy=True, optional=True),
            ],
            outputs=[io.AnyType.Output(display_name="chosen")],
        )

    @classmethod
    def check_lazy_status(cls, which, yes=None, no=None):
        return ["yes"] if which and yes is None else ["no"] if not which and no is None else []

    @classmethod
    def execute(cls, which, yes=None, no=None):
        return (yes if which else no,)


class Expands(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Expands",
            inputs=[io.Int.Input("times", min=1, max=5)],
            outputs=[io.String.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(cls, times):
        graph = GraphBuilder()
        node = graph.node("V3Join", head="-", tail="")
        for number in range(times):
            node = graph.node("V3Join", head=node.out(0), tail=str(number))
        return io.NodeOutput(node.out(0), expand=graph.finalize())


class Join(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Join",
            inputs=[io.String.Input("head"), io.String.Input("tail")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, head, tail):
        return (head + tail,)


class Blocks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Blocks",
            inputs=[io.Boolean.Input("silently")],
            outputs=[io.String.Output(), io.Int.Output()],
        )

    @classmethod
    def execute(cls, silently):
        block = ExecutionBlocker(None if silently else "stop here")
        return io.NodeOutput(block, block)


class Shows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Shows", inputs=[io.AnyType.Input("value")], outputs=[], is_output_node=True
        )

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(ui={"value": [str(value)]})


class Misfit(io.ComfyNode):
    """Returns what no V3 node may."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3Misfit", inputs=[], outputs=[io.Int.Output()])

    @classmethod
    def execute(cls):
        return [1]


PLAIN = [Hidden, Account, Picky, Lazy, Expands, Join, Blocks, Shows, Misfit]

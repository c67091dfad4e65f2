"""Inputs that are several, or whose type follows from others, as far as this ComfyUI's API has them."""

from comfy_api.latest import io


def make_class(number):
    class Made(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                node_id=f"V3Made{number}",
                inputs=[io.Int.Input("value")],
                outputs=[io.Int.Output(display_name=f"times {number}")],
                is_output_node=True,
            )

        @classmethod
        def execute(cls, value):
            return io.NodeOutput(value * number, ui={"product": [value * number]})

    return Made


class Several(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Several",
            inputs=[
                io.MultiType.Input(io.Float.Input("number", default=1.5), types=[io.Int, io.Mask]),
                io.MultiType.Input("either", types=[io.Image, io.Custom("MESH_OF_MINE")], optional=True),
                io.MultiCombo.Input("many", options=["a", "b"], default=["a"]),
            ],
            outputs=[io.Custom("MESH_OF_MINE").Output(), io.Image.Output(is_output_list=True)],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def execute(cls, number, many, either=None):
        return io.NodeOutput(None, [], ui={"number": number, "many": many})


class Grows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Grows",
            inputs=[
                io.AutogrowDynamic.Input("texts", template_input=io.String.Input("text"), min=2, max=4),
                *matching(),
            ],
            outputs=[io.String.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, **inputs):
        shown = [f"{name}={inputs[name]}" for name in sorted(inputs)]
        return io.NodeOutput(";".join(shown), ui={"shown": shown})


def matching():
    template = io.MatchType.Template("T", [io.Image, io.Mask])
    return [io.MatchType.Input("like", template=template, optional=True)]


DYNAMIC = [Several, make_class(2), make_class(3)]
if hasattr(io, "AutogrowDynamic"):
    DYNAMIC.append(Grows)

"""Textures from a pack that only works with numpy 1: an ordinary ComfyUI pack that knows nothing of isolation."""

from .behaviours import AskWhere, ChooseStep, CountCalls, FailLoudly, WorkSlowly
from .textures import InterferenceTexture, PosterizeLevels

NODE_CLASS_MAPPINGS = {
    "LegacyInterferenceTexture": InterferenceTexture,
    "LegacyPosterizeLevels": PosterizeLevels,
    "LegacyCountCalls": CountCalls,
    "LegacyFailLoudly": FailLoudly,
    "LegacyWorkSlowly": WorkSlowly,
    "LegacyChooseStep": ChooseStep,
    "LegacyAskWhere": AskWhere,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "LegacyInterferenceTexture": "Interference Texture (numpy 1)",
    "LegacyPosterizeLevels": "Posterize Levels (numpy 1)",
    "LegacyCountCalls": "Count Calls",
    "LegacyFailLoudly": "Fail Loudly",
    "LegacyWorkSlowly": "Work Slowly",
    "LegacyChooseStep": "Choose Step",
    "LegacyAskWhere": "Where Does This Run?",
}

"""Recorded notes blended, stretched and moved by a WaveNet.

`blend_files` does it from file to file; `heard_note` and `blend` do it with sounds.
"""

from symbolic.rendering.blending.files import BlendReport, blend_files
from symbolic.rendering.blending.hearing import heard_note, read_note
from symbolic.rendering.blending.steps import BlendedNote, blend

__all__ = ["BlendReport", "BlendedNote", "blend", "blend_files", "heard_note", "read_note"]

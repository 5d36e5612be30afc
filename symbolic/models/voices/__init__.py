"""Learned voices: pitch and loudness in, sound out."""

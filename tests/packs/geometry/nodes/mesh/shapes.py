"""Shapes as meshes: a cross-section from shapely, swept along a closed path, as a trimesh object."""

import numpy as np
import trimesh
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

POINTS_PER_CORNER = 14


def cross_section(corners, radius):
    """A star with rounded corners around the origin: points (corners * POINTS_PER_CORNER, 2), counter-clockwise."""
    angles = np.linspace(0, 2 * np.pi, 2 * corners, endpoint=False)
    radii = np.where(np.arange(2 * corners) % 2 == 0, 1.0, 0.62)
    star = Polygon(np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))
    rounded = orient(star.buffer(-0.16).buffer(0.3).buffer(-0.14))  # rounds the tips and the notches
    fractions = np.linspace(0, 1, corners * POINTS_PER_CORNER, endpoint=False)
    outline = [rounded.exterior.interpolate(fraction, normalized=True) for fraction in fractions]
    return radius * np.array([[point.x, point.y] for point in outline])


def knot_path(turns, windings, steps):
    """Points of shape (steps, 3) on a closed curve that winds around a torus."""
    t = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    distance = 1.0 + 0.42 * np.cos(windings * t)
    height = -0.42 * np.sin(windings * t)
    return np.column_stack([distance * np.cos(turns * t), distance * np.sin(turns * t), height])


def sweep(path, section, corners, twists):
    """The closed tube with this section around the path, turned on the way round by ``twists`` of its corners."""
    normals, binormals = _moving_frame(path, twists / corners)
    rings = (
        path[:, None] + section[None, :, :1] * normals[:, None] + section[None, :, 1:] * binormals[:, None]
    )
    steps, points = len(path), len(section)
    numbers = np.arange(steps * points).reshape(steps, points)
    # Twisted by whole corners the last ring fits the first, but each point meets the one some corners further on.
    ahead = np.concatenate([numbers[1:], np.roll(numbers[:1], -twists * POINTS_PER_CORNER, axis=1)])
    around, ahead_around = np.roll(numbers, -1, axis=1), np.roll(ahead, -1, axis=1)
    lower = np.stack([numbers, around, ahead], axis=-1).reshape(-1, 3)
    upper = np.stack([around, ahead_around, ahead], axis=-1).reshape(-1, 3)
    return trimesh.Trimesh(rings.reshape(-1, 3), np.concatenate([lower, upper]), process=False)


def _moving_frame(path, twist_turns):
    """Two unit vectors across the path at each point, turning as little as possible, closed at the seam by a twist."""
    tangents = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normals = np.empty_like(tangents)
    normal = np.cross(tangents[0], [0.0, 0.0, 1.0])
    for index, tangent in enumerate(tangents):
        normal = normal - tangent * (normal @ tangent)
        normal /= np.linalg.norm(normal)
        normals[index] = normal
    first = normal - tangents[0] * (normal @ tangents[0])
    seam = np.arctan2(np.cross(normals[0], first) @ tangents[0], normals[0] @ first)
    angles = np.linspace(0, 2 * np.pi * twist_turns - seam, len(path), endpoint=False)[:, None]
    across = np.cross(tangents, normals)
    return np.cos(angles) * normals + np.sin(angles) * across, np.cos(angles) * across - np.sin(
        angles
    ) * normals

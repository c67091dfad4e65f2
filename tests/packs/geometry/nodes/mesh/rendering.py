"""A small software renderer in numpy: depth buffer, smooth normals, shadows, two lights and a thin-film colour."""

import numpy as np
from comfy.utils import ProgressBar

OVERSAMPLING = 2  # the picture is drawn larger and averaged down, which smooths its edges
KEY_LIGHT = np.array([0.55, -0.45, 0.95])
RIM_LIGHT = np.array([-0.8, 0.7, 0.25])


def render(vertices, faces, camera, width, height):
    """Return colour (height, width, 3) and coverage (height, width), float32 in 0..1."""
    progress = ProgressBar(3)
    vertices = np.asarray(vertices, dtype=np.float64)
    faces = np.asarray(faces)
    normals = vertex_normals(vertices, faces)
    wide, high = width * OVERSAMPLING, height * OVERSAMPLING
    eye, screen, depth = project(vertices, camera, wide, high)
    face_index, weights = rasterise(screen, depth, faces, wide, high)
    progress.update(1)
    hit = face_index >= 0
    corners = faces[face_index[hit]]
    points = np.einsum("ij,ijk->ik", weights[hit], vertices[corners])
    surface = np.einsum("ij,ijk->ik", weights[hit], normals[corners])
    surface /= np.linalg.norm(surface, axis=1, keepdims=True)
    light = in_light(vertices, faces, points, surface)
    progress.update(1)
    colour = np.zeros((high, wide, 3))
    colour[hit] = shade(points, surface, eye, light)
    coverage = average_down(hit[..., None].astype(np.float64))[..., 0]
    colour = average_down(colour) / np.maximum(coverage, 1e-6)[..., None]
    progress.update(1)
    return np.clip(colour, 0, 1).astype(np.float32), coverage.astype(np.float32)


def vertex_normals(vertices, faces):
    """Unit normals per vertex, the average of the faces around it weighted by their area."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def project(vertices, camera, width, height):
    """The eye's position, the vertices in pixels (n, 2), and their distance in front of the eye (n,)."""
    turn, rise = np.radians(camera["turn_deg"]), np.radians(camera["height_deg"])
    direction = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)])
    eye = camera["distance"] * direction
    right, up = view_axes(direction)
    relative = vertices - eye
    depth = -(relative @ direction)
    scale = height / 2 / np.tan(np.radians(camera["opening_deg"]) / 2)
    x = width / 2 + scale * (relative @ right) / depth
    y = height / 2 - scale * (relative @ up) / depth
    return eye, np.column_stack([x, y]), depth


def view_axes(direction):
    """Right and up of a view from ``direction`` towards the origin, with z upwards."""
    right = np.cross([0.0, 0.0, 1.0], direction)
    right /= np.linalg.norm(right)
    return right, np.cross(direction, right)


def rasterise(screen, depth, faces, width, height):
    """For each pixel the nearest face (-1: none) and its barycentric weights: (height, width), (height, width, 3)."""
    corners = screen[faces]
    lows = np.clip(np.floor(corners.min(axis=1)).astype(int), 0, [width, height])
    highs = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 1, 0, [width, height])
    sizes = (highs - lows).max(axis=1)
    visible = (highs > lows).all(axis=1) & (np.abs(doubled_areas(corners)) > 1e-9)
    nearest = np.full(height * width, np.inf)
    face_index = np.full(height * width, -1, dtype=np.int64)
    weights = np.zeros((height * width, 3))
    # Faces of about the same size are drawn together, each in a square window as large as the largest among them.
    for first in range(int(np.log2(max(width, height))) + 1):
        group = np.flatnonzero(visible & (sizes > 2**first // 2) & (sizes <= 2**first))
        for some in np.array_split(group, len(group) * 4**first // 2_000_000 + 1):
            pixels, faces_there, weights_there = cover(corners[some], lows[some], 2**first, width, height)
            drawn = some[faces_there]
            distance = np.einsum("ij,ij->i", weights_there, depth[faces[drawn]])
            np.minimum.at(nearest, pixels, distance)
            wins = distance <= nearest[pixels]
            face_index[pixels[wins]] = drawn[wins]
            weights[pixels[wins]] = weights_there[wins]
    return face_index.reshape(height, width), weights.reshape(height, width, 3)


def cover(corners, lows, window, width, height):
    """Which pixels these triangles cover: flat pixel numbers, triangle numbers, and barycentric weights (n, 3)."""
    x = (lows[:, 0, None] + np.arange(window))[:, None, :]
    y = (lows[:, 1, None] + np.arange(window))[:, :, None]
    (ax, ay), (bx, by), (cx, cy) = corners[:, :, :, None, None].transpose(1, 2, 0, 3, 4)
    px, py = x + 0.5, y + 0.5
    areas = doubled_areas(corners)[:, None, None]
    first = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / areas
    second = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / areas
    third = 1 - first - second
    inside = (first >= 0) & (second >= 0) & (third >= 0) & (x < width) & (y < height)
    triangle, row, column = np.nonzero(inside)
    pixels = y[triangle, row, 0] * width + x[triangle, 0, column]
    return pixels, triangle, np.stack([first[inside], second[inside], third[inside]], axis=-1)


def doubled_areas(corners):
    """Twice the signed area of each triangle; corners is (n, 3, 2)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def in_light(vertices, faces, points, surface, size=768, softness=3):
    """How much of the key light reaches each point, 0..1: the scene seen from the light, compared around each point."""
    direction = KEY_LIGHT / np.linalg.norm(KEY_LIGHT)
    right, up = view_axes(direction)
    span = 1.1 * np.abs(vertices).max()

    def seen_from_light(positions):
        flat = np.column_stack([positions @ right, positions @ up]) / span
        return (flat * 0.5 + 0.5) * size, -(positions @ direction)

    screen, depth = seen_from_light(vertices)
    face_index, weights = rasterise(screen, depth, faces, size, size)
    hit = face_index >= 0
    nearest = np.full((size, size), np.inf)
    nearest[hit] = np.einsum("ij,ij->i", weights[hit], depth[faces[face_index[hit]]])
    where, distance = seen_from_light(points + 0.02 * surface)
    lit = np.zeros(len(points))
    offsets = range(-softness, softness + 1)
    for dx in offsets:
        for dy in offsets:
            column = np.clip(where[:, 0].astype(int) + dx, 0, size - 1)
            row = np.clip(where[:, 1].astype(int) + dy, 0, size - 1)
            lit += distance < nearest[row, column] + 0.02
    return lit / len(offsets) ** 2


def shade(points, surface, eye, light):
    """Colours (n, 3): a warm key light with shadows, a cool rim, and a film whose hue depends on the view angle."""
    view = eye - points
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    key = KEY_LIGHT / np.linalg.norm(KEY_LIGHT)
    facing = np.clip(np.einsum("ij,ij->i", surface, view), 0, 1)
    thickness = 0.75 * facing[:, None] + 0.16 * points[:, 2:] + 0.1 * points[:, :1]
    film = 0.5 + 0.5 * np.cos(2 * np.pi * (thickness + np.array([0.05, 0.27, 0.45])))
    base = 0.48 * np.array([1.0, 0.84, 0.72]) + 0.52 * film
    diffuse = np.clip(surface @ key, 0, 1) * light
    sky = 0.5 + 0.5 * surface[:, 2]
    ambient = sky[:, None] * np.array([0.30, 0.34, 0.50]) + (1 - sky)[:, None] * np.array([0.20, 0.08, 0.14])
    colour = base * (ambient + diffuse[:, None] * np.array([1.05, 0.92, 0.78]))
    half = key + view
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    gloss = np.clip(np.einsum("ij,ij->i", surface, half), 0, 1)
    colour += (light * (0.55 * gloss**90 + 0.12 * gloss**14))[:, None]
    rim = (1 - facing) ** 3 * np.clip(surface @ (RIM_LIGHT / np.linalg.norm(RIM_LIGHT)), 0, 1)
    colour += 0.9 * rim[:, None] * np.array([0.45, 0.75, 1.0])
    return colour / (1 + 0.18 * colour)


def average_down(picture):
    height, width = picture.shape[0] // OVERSAMPLING, picture.shape[1] // OVERSAMPLING
    return picture.reshape(height, OVERSAMPLING, width, OVERSAMPLING, -1).mean(axis=(1, 3))

// A shader that keeps 512 values at once, more than a GPU has registers for an invocation: the
// check of registers must see it.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

struct Tile {
    a: mat4x4<f32>,
    b: mat4x4<f32>,
    c: mat4x4<f32>,
    d: mat4x4<f32>,
    e: mat4x4<f32>,
    f: mat4x4<f32>,
    g: mat4x4<f32>,
    h: mat4x4<f32>,
}

fn outer(at: u32, factor: vec4<f32>) -> mat4x4<f32> {
    let value = x[at];
    return mat4x4<f32>(value * factor.x, value * factor.y, value * factor.z, value * factor.w);
}

fn add(tile: ptr<function, Tile>, at: u32, factor: vec4<f32>) {
    (*tile).a += outer(at, factor);
    (*tile).b += outer(at + 1u, factor);
    (*tile).c += outer(at + 2u, factor);
    (*tile).d += outer(at + 3u, factor);
    (*tile).e += outer(at + 4u, factor);
    (*tile).f += outer(at + 5u, factor);
    (*tile).g += outer(at + 6u, factor);
    (*tile).h += outer(at + 7u, factor);
}

// Uses every value.
fn store(tile: Tile, at: u32) {
    let product = tile.a * tile.b * tile.c * tile.d * tile.e * tile.f * tile.g * tile.h;
    y[at] = product * vec4(1.0);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var first: Tile;
    var second: Tile;
    var third: Tile;
    var fourth: Tile;
    for (var row = 0u; row < arrayLength(&x); row += 32u) {
        let factor = x[row + id.x];
        add(&first, row, factor);
        add(&second, row + 8u, factor);
        add(&third, row + 16u, factor);
        add(&fourth, row + 24u, factor);
    }
    store(first, 4u * id.x);
    store(second, 4u * id.x + 1u);
    store(third, 4u * id.x + 2u);
    store(fourth, 4u * id.x + 3u);
}

// y = c · Σ_k weight[k] · u[p - width + 1 + k] with the inputs u = b · v of each position.
// Keeps the last inputs of each block of positions.
//
// One invocation a column; a workgroup takes 64 of a row. Rows of the step are read as they are,
// earlier positions from the state. Where a step may have several rows, a dispatch computes, and a
// second one keeps: else it would replace what other rows still read.
#import step
#import rows

struct Params {
    rows: u32, // capacity
    cols: u32,
    width: u32, // positions of the convolution
    block: u32, // values of a block of the state
    part: u32, // 1: computes, 2: keeps, 3: both
}
@group(0) @binding(1) var<uniform> params: Params;
// a sequence: its length with this step, then its blocks
@group(0) @binding(next) var<storage, read> tables: array<u32>;
@group(0) @binding(next) var<storage, read> x: array<f32>; // (rows, 3, cols): b, c, v
@group(0) @binding(next) var<storage, read> weight: array<f32>; // (cols, width)
// (blocks, …): position p of a block at p % RECENT, (RECENT, cols)
@group(0) @binding(next) var<storage, read_write> state: array<f32>;
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (rows, cols)

fn input(row: u32, col: u32) -> f32 {
    let first = row * 3u * params.cols + col;
    return x[first] * x[first + 2u * params.cols];
}

// The place of a position's inputs.
fn kept(row: Row, position: u32, col: u32) -> u32 {
    let block = tables[row.table + 1u + position / KV_BLOCK];
    return block * params.block + position % RECENT * params.cols + col;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = min(step.tokens, params.rows);
    let col = id.x;
    let at = id.y;
    if col >= params.cols || at >= count {
        return;
    }
    let row = rows[at];
    if (params.part & 1u) != 0u {
        var sum = 0.0;
        for (var i = 0u; i < params.width; i++) {
            let back = params.width - 1u - i;
            if back > row.position {
                continue;
            }
            var value = 0.0;
            let is_here = back <= at && rows[at - min(back, at)].table == row.table && rows[at - min(back, at)].position + back == row.position;
            if is_here {
                value = input(at - back, col);
            } else {
                value = state[kept(row, row.position - back, col)];
            }
            sum += weight[col * params.width + i] * value;
        }
        y[at * params.cols + col] = x[(at * 3u + 1u) * params.cols + col] * sum;
    }
    if (params.part & 2u) != 0u {
        let later = at + RECENT;
        var stays = true;
        if later < count {
            let next = rows[later];
            stays = next.table != row.table || next.position / KV_BLOCK != row.position / KV_BLOCK;
        }
        if stays {
            state[kept(row, row.position, col)] = input(at, col);
        }
    }
}

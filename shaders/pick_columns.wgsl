// y[t][j] = column columns[j] of row t of x, or with OTHERS of x, `second` and `third` side by
// side.
//
// One invocation a value; a workgroup takes 64 of a row.
#import step

struct Params {
    rows: u32, // capacity of y
    cols: u32,
    x_cols: u32,
    second_cols: u32,
    third_cols: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> columns: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (rows, cols)
@group(0) @binding(4) var<storage, read> x: array<f32>; // (rows, x_cols)
#ifdef OTHERS
@group(0) @binding(5) var<storage, read> second: array<f32>; // (rows, second_cols)
@group(0) @binding(6) var<storage, read> third: array<f32>; // (rows, third_cols)
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if token >= min(step.tokens, params.rows) || id.x >= params.cols {
        return;
    }
    y[token * params.cols + id.x] = picked(token, u32(columns[id.x]));
}

fn picked(token: u32, column: u32) -> f32 {
#ifdef OTHERS
    let thirds = params.x_cols + params.second_cols;
    if column >= thirds {
        return third[token * params.third_cols + column - thirds];
    }
    if column >= params.x_cols {
        return second[token * params.second_cols + column - params.x_cols];
    }
#endif
    return x[token * params.x_cols + column];
}

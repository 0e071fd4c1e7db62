// Prologue of `linear` for one token, see src/ops/norm_linear.rs: the block before it has put its
// output in `branch`. x + norm(branch) is the residual stream, which the first workgroup stores;
// the norm of that is what the weight multiplies. Each workgroup keeps all of it in its memory:
// an invocation loads its quads of every vector once.
#ifdef TAIL
// As storage these would be nine and ten: the planes of two weights take four, and WebGPU
// guarantees eight.
@group(0) @binding(next) var<uniform> norm: array<vec4<f32>, QUADS>;
@group(0) @binding(next) var<uniform> branch_norm: array<vec4<f32>, QUADS>;
#else
@group(0) @binding(next) var<storage, read> norm: array<vec4<f32>>; // (QUADS)
@group(0) @binding(next) var<storage, read> branch_norm: array<vec4<f32>>; // (QUADS)
#endif
@group(0) @binding(next) var<storage, read> branch: array<vec4<f32>>; // (QUADS)
@group(0) @binding(next) var<storage, read_write> residual: array<vec4<f32>>; // (QUADS)

// QUADS, those of a row, are a constant: they decide on workgroup memory.
const EACH = (QUADS + WORKGROUP - 1u) / WORKGROUP;
const TEAM = 16u; // WORKGROUP = TEAM · TEAM

// The input, see `place`; before that, what invocations add up.
var<workgroup> staged: array<vec4<f32>, max(QUADS, WORKGROUP)>;

// Invocations that read the same quad of neighbouring blocks read different banks.
fn place(quad: u32) -> u32 {
    return quad ^ (quad / 8u % 8u);
}

// The sum of all invocations' values.
fn sum_of_all(value: f32, index: u32) -> f32 {
    staged[index].x = value;
    workgroupBarrier();
    if index < TEAM {
        // no other invocation reads or writes these
        var team = 0.0;
        for (var i = 0u; i < TEAM; i++) {
            team += staged[index + i * TEAM].x;
        }
        staged[index].x = team;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < TEAM; i++) {
        sum += staged[i].x;
    }
    workgroupBarrier();
    return sum;
}

fn stage(workgroup: u32, index: u32) {
    var own = array<vec4<f32>, EACH>();
    var squares = 0.0;
    for (var i = 0u; i < EACH; i++) {
        let quad = index + i * WORKGROUP;
        if quad < QUADS {
            own[i] = branch[quad];
            squares += dot(own[i], own[i]);
        }
    }
    let branch_scale = inverse_rms(sum_of_all(squares, index));
    squares = 0.0;
    for (var i = 0u; i < EACH; i++) {
        let quad = index + i * WORKGROUP;
        if quad < QUADS {
            own[i] = x[quad] + own[i] * branch_scale * branch_norm[quad];
            squares += dot(own[i], own[i]);
            if workgroup == 0u {
                residual[quad] = own[i];
            }
        }
    }
    let scale = inverse_rms(sum_of_all(squares, index));
    for (var i = 0u; i < EACH; i++) {
        let quad = index + i * WORKGROUP;
        if quad < QUADS {
            staged[place(quad)] = own[i] * scale * norm[quad];
        }
    }
    workgroupBarrier();
}

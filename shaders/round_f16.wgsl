// Rounds rows of x to f16, for `linear` in a tile of f16: once for all workgroups of the product.
//
// Activations may be larger than an f16, and smaller than its normal ones. So a row is scaled by a
// power of two, which rounds nothing: its largest value becomes one in [1, 2). A workgroup takes a
// token. A norm may come first: 1 / rms goes into the scale.
#import rounding
// (tokens, cols / 4): four values; then a scale for each token
@group(0) @binding(next) var<storage, read_write> rounded: array<vec2<u32>>;

var<workgroup> parts: array<vec2<f32>, WORKGROUP>; // of each invocation: the largest value, the squares

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let token = workgroup.x;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = token * quads();
    var largest = vec4(0.0);
    var squares = 0.0;
    for (var quad = index; quad < quads(); quad += WORKGROUP) {
        var values = x[row + quad];
        squares += dot(values, values);
        if params.normalises != 0u {
            values *= norm[quad];
        }
        largest = max(largest, abs(values));
    }
    parts[index] = vec2(max(max(largest.x, largest.y), max(largest.z, largest.w)), squares);
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half {
            let other = parts[index + half];
            parts[index] = vec2(max(parts[index].x, other.x), parts[index].y + other.y);
        }
    }
    workgroupBarrier();
    // the power of two is what is left without sign and fraction
    let power = bitcast<f32>(bitcast<u32>(parts[0].x) & 0x7f800000u);
    let to_f16 = select(0.0, 1.0 / power, power > 0.0);
    for (var quad = index; quad < quads(); quad += WORKGROUP) {
        let values = value(row, quad) * to_f16;
        rounded[row + quad] = vec2(pack2x16float(values.xy), pack2x16float(values.zw));
    }
    if index == 0u {
        var scale = power;
        if params.normalises != 0u {
            scale *= inverseSqrt(parts[0].y / f32(params.cols) + params.eps);
        }
        rounded[params.rows * quads() + token] = vec2(bitcast<u32>(scale), 0u);
    }
}

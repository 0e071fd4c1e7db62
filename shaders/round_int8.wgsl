// Rounds rows of x to signed bytes, with a scale per block of 32, for `linear` in products of
// bytes: once for all workgroups of the product.
//
// A workgroup takes four tokens, so that what it writes for them is contiguous, and an invocation
// takes blocks of a token. A norm may come first: 1 / rms goes into the scales.
#import rounding
// (cols / 32, 5, tokens): the bytes of a block in four parts, then its scale, and in the halves of
// a word the sums of its first 16 bytes and of the others
@group(0) @binding(next) var<storage, read_write> rounded: array<vec2<u32>>;
var<workgroup> squares: array<f32, WORKGROUP>; // (lanes, tokens)

const LANES = WORKGROUP / TOKENS;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tokens = min(step.tokens, params.rows);
    let first_token = workgroup.x * TOKENS;
    if first_token >= tokens {
        return;
    }
    let lane = index / TOKENS;
    let token = first_token + index % TOKENS;
    // tokens past the last repeat it; their results are not stored
    let row = min(token, tokens - 1u) * quads();
    var factor = 1.0;
    if params.normalises != 0u {
        var sum = 0.0;
        for (var quad = lane; quad < quads(); quad += LANES) {
            let values = x[row + quad];
            sum += dot(values, values);
        }
        squares[index] = sum;
        for (var half = LANES / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if lane < half {
                squares[index] += squares[index + half * TOKENS];
            }
        }
        workgroupBarrier();
        factor = inverseSqrt(squares[index % TOKENS] / f32(params.cols) + params.eps);
    }
    for (var block = lane; block < blocks(); block += LANES) {
        var largest = vec4(0.0);
        for (var quad = 8u * block; quad < 8u * block + 8u; quad++) {
            largest = max(largest, abs(value(row, quad)));
        }
        let range = max(max(largest.x, largest.y), max(largest.z, largest.w));
        let to_bytes = select(0.0, 127.0 / range, range > 0.0);
        let at = block * 5u * params.rows + token;
        var sums = vec2(0i); // of the halves
        for (var part = 0u; part < 4u; part++) {
            let quad = 8u * block + 2u * part;
            let words = vec2(
                pack4xI8(vec4<i32>(round(value(row, quad) * to_bytes))),
                pack4xI8(vec4<i32>(round(value(row, quad + 1u) * to_bytes))),
            );
            let sum = dot4I8Packed(words.x, 0x01010101u) + dot4I8Packed(words.y, 0x01010101u);
            sums += select(vec2(0i, sum), vec2(sum, 0i), part < 2u);
            if token < tokens {
                rounded[at + part * params.rows] = words;
            }
        }
        if token < tokens {
            let both = (bitcast<u32>(sums.x) & 0xffffu) | (bitcast<u32>(sums.y) << 16u);
            rounded[at + 4u * params.rows] = vec2(bitcast<u32>(range / 127.0 * factor), both);
        }
    }
}

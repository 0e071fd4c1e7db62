// The best k of the last token's logits. They are in the k blocks with the largest maxima, so k
// blocks are selected, then k logits in them. Shaders that use it have `params` with the rows and
// the vocabulary, `logits`, and the `maxima` of their blocks.

// Workgroup size and largest k.
const WORKGROUP: u32 = 256;

// Orders logits, or blocks by their maximum: the ordered number, then the complement of the id.
// Larger is better.
alias Rank = vec2<u32>;

fn rank(value: u32, id: u32) -> Rank {
    return Rank(value, 0xffffffu - id);
}

fn better(a: Rank, b: Rank) -> bool {
    return a.x > b.x || (a.x == b.x && a.y > b.y);
}

var<workgroup> histogram: array<atomic<u32>, WORKGROUP>;
// Digit of the k-th best, and the number of entries with a better digit.
var<workgroup> digit: vec2<u32>;
var<workgroup> selected: atomic<u32>;
var<workgroup> blocks: array<u32, WORKGROUP>; // (k)
var<workgroup> ranks: array<Rank, WORKGROUP>; // (k)

// Entry i of the blocks, or of the logits in the selected blocks.
fn entry(i: u32, of_blocks: bool) -> Rank {
    if of_blocks {
        return rank(maxima[i], i);
    }
    let id = blocks[i / BLOCK] * BLOCK + i % BLOCK;
    if id >= params.vocab {
        return Rank(0u, 0u); // worse than any
    }
    let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
    return rank(ordered(logits[row + id]), id);
}

// The k-th best of n entries, by a search of 8-bit digits: 4 of the number, 3 of the id.
fn kth_best(n: u32, k: u32, of_blocks: bool, lane: u32) -> Rank {
    var found = Rank(0u, 0u);
    var known = vec2(0u, 0u); // mask of the digits found so far
    var left = k;
    for (var d = 0u; d < 7u; d++) {
        let word = d / 4u;
        let shift = select(24u - 8u * d, 48u - 8u * d, word == 1u);
        atomicStore(&histogram[lane], 0u);
        workgroupBarrier();
        for (var i = lane; i < n; i += WORKGROUP) {
            let rank = entry(i, of_blocks);
            if all((rank & known) == found) {
                atomicAdd(&histogram[(rank[word] >> shift) & 0xffu], 1u);
            }
        }
        workgroupBarrier();
        let own = atomicLoad(&histogram[lane]);
        if own > 0u { // most are empty
            var above = 0u;
            for (var larger = lane + 1u; larger < WORKGROUP; larger++) {
                above += atomicLoad(&histogram[larger]);
            }
            if above < left && left <= above + own {
                digit = vec2(lane, above);
            }
        }
        workgroupBarrier();
        found[word] |= digit.x << shift;
        known[word] |= 0xffu << shift;
        left -= digit.y;
    }
    return found;
}

// Leaves the best in `ranks`, unordered. Returns their number: `top_k`, or all.
fn select_best(top_k: u32, lane: u32) -> u32 {
    let block_count = (params.vocab + BLOCK - 1u) / BLOCK;
    let k_blocks = min(top_k, block_count);
    let k = min(top_k, params.vocab);

    let last_block = kth_best(block_count, k_blocks, true, lane);
    if lane == 0u {
        atomicStore(&selected, 0u);
    }
    workgroupBarrier();
    for (var i = lane; i < block_count; i += WORKGROUP) {
        if !better(last_block, entry(i, true)) {
            blocks[atomicAdd(&selected, 1u)] = i;
        }
    }
    workgroupBarrier();

    let last = kth_best(k_blocks * BLOCK, k, false, lane);
    if lane == 0u {
        atomicStore(&selected, 0u);
    }
    workgroupBarrier();
    for (var i = lane; i < k_blocks * BLOCK; i += WORKGROUP) {
        let rank = entry(i, false);
        if !better(last, rank) {
            ranks[atomicAdd(&selected, 1u)] = rank;
        }
    }
    workgroupBarrier();
    return k;
}

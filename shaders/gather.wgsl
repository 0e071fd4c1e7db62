// y = the tiles of slots, then the slots by expert: see ops/gather.rs. A counting sort by one
// workgroup.
//
// The slots are cut into PARTS, and the slots of each expert are counted in each part. So a part
// knows where its slots of an expert begin, and an invocation puts them in order.
#import step

struct Params {
    rows: u32, // capacity of route
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> route: array<f32>; // (tokens, ROUTE_COLS)
// (TILES, 3): expert, place of the first slot, slots; then the slots
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// (parts, experts): slots, later the place of the next one
var<workgroup> counts: array<atomic<u32>, PARTS * EXPERTS>;
var<workgroup> totals: array<u32, EXPERTS>; // slots of an expert

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    let slots = min(step.tokens, params.rows) * CHOSEN;
    let part_slots = (slots + PARTS - 1u) / PARTS;
    for (var tile = lane; tile < TILES; tile += WORKGROUP) {
        y[3u * tile + 2u] = 0.0;
    }
    for (var i = lane; i < PARTS * EXPERTS; i += WORKGROUP) {
        atomicStore(&counts[i], 0u);
    }
    storageBarrier();
    workgroupBarrier();
    for (var i = lane; i < slots; i += WORKGROUP) {
        atomicAdd(&counts[i / part_slots * EXPERTS + expert_of(i)], 1u);
    }
    workgroupBarrier();
    for (var e = lane; e < EXPERTS; e += WORKGROUP) {
        var total = 0u;
        for (var part = 0u; part < PARTS; part++) {
            total += atomicLoad(&counts[part * EXPERTS + e]);
        }
        totals[e] = total;
    }
    workgroupBarrier();
    for (var e = lane; e < EXPERTS; e += WORKGROUP) {
        var place = 0u;
        var tile = 0u;
        for (var other = 0u; other < e; other++) {
            let total = totals[other];
            place += total;
            tile += (total + TILE - 1u) / TILE;
        }
        let total = totals[e];
        for (var i = 0u; i < total; i += TILE) {
            y[3u * tile] = f32(e);
            y[3u * tile + 1u] = f32(place + i);
            y[3u * tile + 2u] = f32(min(total - i, TILE));
            tile++;
        }
        for (var part = 0u; part < PARTS; part++) {
            let count = atomicLoad(&counts[part * EXPERTS + e]);
            atomicStore(&counts[part * EXPERTS + e], place);
            place += count;
        }
    }
    workgroupBarrier();
    if lane < PARTS {
        for (var i = lane * part_slots; i < min((lane + 1u) * part_slots, slots); i++) {
            let place = atomicAdd(&counts[lane * EXPERTS + expert_of(i)], 1u);
            y[3u * TILES + place] = f32(i);
        }
    }
}

// The expert of a slot; never one that there is not, whatever a router makes of logits that are not
// numbers.
fn expert_of(i: u32) -> u32 {
    return min(u32(route[i / CHOSEN * ROUTE_COLS + i % CHOSEN]), EXPERTS - 1u);
}

// Compiles where subgroups are on.
enable subgroups;

@compute @workgroup_size(1)
fn main(@builtin(subgroup_size) size: u32) {
    _ = subgroupShuffleXor(size, 1u);
}

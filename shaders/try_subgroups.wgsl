// Compiles if the adapter supports subgroups.
enable subgroups;

@compute @workgroup_size(1)
fn main(@builtin(subgroup_size) size: u32) {
    _ = subgroupShuffleXor(size, 1u);
}

// Compiles if the adapter supports f16.
enable f16;

@compute @workgroup_size(1)
fn main(@builtin(local_invocation_index) index: u32) {
    _ = f16(index);
}

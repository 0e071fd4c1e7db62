// Compiles if the adapter supports products of packed bytes.
@compute @workgroup_size(1)
fn main(@builtin(local_invocation_index) index: u32) {
    _ = dot4I8Packed(index, index);
}

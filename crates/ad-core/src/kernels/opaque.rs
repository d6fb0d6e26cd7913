//! What the compiler must not know, where it would make worse of it.

/// Hides from the compiler how a pointer came about, without an instruction.
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "the block is empty and touches no memory"
)]
#[inline(always)]
pub(super) fn opaque<T>(pointer: *const T) -> *const T {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut pointer = pointer;
        // SAFETY: no instruction at all; the pointer comes out as it went in.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    pointer
}

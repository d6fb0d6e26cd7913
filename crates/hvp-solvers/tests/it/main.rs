//! Tests of the public interface, by identities and closed forms.

mod cg;
mod dense;
mod faults;
mod kit;
mod lanczos;
mod newton;
mod truncated;

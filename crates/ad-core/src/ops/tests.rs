//! Tests of every primitive.

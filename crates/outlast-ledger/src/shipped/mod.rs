//! What the stores are told of the ledger, so that it can be made again: rows, and segments of them. Byte by byte in
//! docs/formats/segments.md. Nothing here reads a ledger or a store.

mod row;
mod segment;

mod order;

#[cfg(test)]
mod fuzz;

pub use order::{Reading, segments_to_read};
pub use row::{Row, RowPlace};
pub use segment::{
    NotASegment, SEGMENT_BYTES_MAX, SEGMENT_FOLDER, SEGMENT_ROW_BYTES, SegmentHead, SegmentKey, SegmentKind,
    SegmentName, open, rows_of, seal,
};

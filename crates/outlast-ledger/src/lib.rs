//! Our own durable memory. It never talks to a store and never hides a failed fsync.

mod bucket;
mod maps;

mod shipped;

mod api;
mod embedded;

pub use api::*;
pub use bucket::{Bucket, BucketState};
pub use embedded::{Core, Durability, Embedded, Mode};
pub use shipped::{
    NotASegment, Reading, Row, RowPlace, SEGMENT_BYTES_MAX, SEGMENT_FOLDER, SEGMENT_ROW_BYTES, SegmentHead, SegmentKey,
    SegmentKind, SegmentName, open as open_segment, rows_of, seal as seal_segment, segments_to_read,
};

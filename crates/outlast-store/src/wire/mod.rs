//! What every service far away needs: a connection, one call with its deadlines, bodies in both directions, and words for
//! what went wrong. Each kind of store adds its own requests, signatures and reading of answers.

mod endpoint;
mod timeouts;

mod dial;

mod body;
mod pool;
mod relay;

mod record;
mod values;
mod verdict;
mod xml;

mod call;
mod stream;

pub(crate) use body::{CHUNK_BYTES, Progress, WireBody};
pub(crate) use call::{AGENT, Answered, Line, Refused, Trace, Words, before, is_page, shown};
pub use dial::{Resolve, SystemResolver};
pub(crate) use endpoint::Endpoint;
pub use endpoint::ServiceConfigError;
pub(crate) use record::{Ids, RECORD, Record, is_id};
pub(crate) use stream::{span_of, stream_of};
pub use timeouts::Timeouts;
pub(crate) use values::{NO_TYPE, from_wire, http_date, md5_header, number, quoted, to_wire, xml_date};
pub(crate) use verdict::{certainly_not, fault_by_status};
pub(crate) use xml::{ErrorDocument, bare, parse_xml};

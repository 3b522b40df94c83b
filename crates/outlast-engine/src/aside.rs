//! Work that blocks is done aside; where there is one thread only, it is done at once, so that a run can be repeated exactly.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, spawn_blocking};

/// Runs `work` on a blocking thread. On a runtime of one thread it runs here: another thread would end it at a moment that
/// no seed decides.
///
/// # Errors
/// The work panicked, or the runtime is shutting down.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => spawn_blocking(work).await,
    }
}

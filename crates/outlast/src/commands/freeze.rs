//! `freeze` and `thaw`: nothing is removed from any store while somebody finds out what is going on.

use crate::exit::{Ending, Failure};
use crate::running::order;
use crate::source::Source;

pub async fn freeze(source: &Source) -> Result<Ending, Failure> {
    let _since: u64 = order(source, "/admin/freeze", serde_json::json!({}), false).await?;
    println!("frozen: deletes are acknowledged, and nothing is removed from any store until: outlast thaw");
    Ok(Ending::Good)
}

pub async fn thaw(source: &Source) -> Result<Ending, Failure> {
    let () = order(source, "/admin/thaw", serde_json::json!({}), false).await?;
    println!("thawed: what was held back is removed from now on");
    Ok(Ending::Good)
}

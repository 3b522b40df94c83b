//! `freeze` and `thaw`: nothing is removed from any store while somebody finds out what is going on.

use crate::exit::{Ending, Failure};
use crate::orders;
use crate::running::{address, unanswered};
use crate::source::Source;

pub async fn freeze(source: &Source) -> Result<Ending, Failure> {
    let admin = address(source);
    let order = serde_json::json!({});
    let _since: u64 =
        orders::give(admin, "/admin/freeze", order, |_| {}).await.map_err(|error| unanswered(error, admin, source))?;
    println!("frozen: deletes are acknowledged, and nothing is removed from any store until: outlast thaw");
    Ok(Ending::Good)
}

pub async fn thaw(source: &Source) -> Result<Ending, Failure> {
    let admin = address(source);
    let order = serde_json::json!({});
    let () =
        orders::give(admin, "/admin/thaw", order, |_| {}).await.map_err(|error| unanswered(error, admin, source))?;
    println!("thawed: what was held back is removed from now on");
    Ok(Ending::Good)
}

//! Fuzz target: the framing of a chunked body, followed piece by piece, says what a reader of the whole body says.

use super::*;

/// Has the body's framing ended, or can nobody follow it? Read from the whole body, chunk by chunk.
fn is_over(mut rest: &[u8]) -> bool {
    loop {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 {
            return true;
        }
        let Some(line_end) = rest.iter().position(|byte| *byte == b'\n') else { return false };
        let size = std::str::from_utf8(&rest[..digits]).expect("digits are ASCII");
        let Ok(size) = u128::from_str_radix(size, 16) else { return true };
        if size == 0 {
            return true;
        }
        // The bytes, and the line end after them.
        let next = line_end as u128 + 1 + size + 2;
        match usize::try_from(next).ok().and_then(|next| rest.get(next..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

#[test]
fn framing() {
    bolero::check!(name = "chunks").for_each(|bytes: &[u8]| {
        let Some((step, body)) = bytes.split_first() else { return };
        let due = is_over(body);
        for step in [usize::from(*step).max(1), 1, body.len().max(1)] {
            let mut framing = Framing::default();
            body.chunks(step).for_each(|piece| framing.follow(piece));
            assert_eq!(framing.has_ended(), due, "in steps of {step}: {:?}", String::from_utf8_lossy(body));
        }
    });
}

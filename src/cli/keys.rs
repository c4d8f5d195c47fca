//! `hash-password` and `keygen`.

use std::io::{self, IsTerminal as _, Read as _};

use super::{BAD_CONFIG, OK, fail};
use crate::effects::{IdSource as _, SystemIds};
use crate::identity::{MAX_PASSWORD_BYTES, hash_password};
use crate::policy::key::SessionKey;

pub(super) fn hash() -> u8 {
    if io::stdin().is_terminal() {
        eprintln!("type the password and end it with Enter and Ctrl-D; it is shown as you type");
    }
    let mut password = String::new();
    if let Err(error) = io::stdin().take(4096).read_to_string(&mut password) {
        return fail(&format!("cannot read the password: {error}"));
    }
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        eprintln!("error: the password is empty: send it on standard input");
        return BAD_CONFIG;
    }
    if password.len() > MAX_PASSWORD_BYTES {
        eprintln!(
            "error: the password is longer than {MAX_PASSWORD_BYTES} bytes, and no login takes such a one"
        );
        return BAD_CONFIG;
    }
    match hash_password(password) {
        Ok(hash) => {
            println!("{hash}");
            OK
        }
        Err(error) => fail(&error.to_string()),
    }
}

pub(super) fn keygen() -> u8 {
    println!("{}", SessionKey::from_random(SystemIds.session_secret()).to_text());
    OK
}

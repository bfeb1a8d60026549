//! Problems of a file. They contain no data.

use crate::error::Fault;

pub(super) fn invalid() -> Fault {
    Fault::new("the argument is not a PKCS #12 file in DER: decode it with b64dec if it is Base64")
}

pub(super) fn unsupported() -> Fault {
    Fault::new("the PKCS #12 file uses a cipher or digest that is not supported")
}

pub(super) fn wrong() -> Fault {
    Fault::new("the password of the PKCS #12 file is wrong, or the file is damaged")
}

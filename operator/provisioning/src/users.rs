//! Access of people: principals, the rules of their policies, and the CEL program of their logins. All of it is pure; an
//! end-to-end test compares it with a real OpenBao.

mod access;
mod principal;
mod program;
mod rules;

pub(crate) use access::{Granting, UserAccess};
pub(crate) use principal::{Who, is_default, is_default_write, login_of};
pub(crate) use program::{ROLE_API, ROLE_USERS, UserEntity, UserProgram};
pub(crate) use rules::{Login, logins};

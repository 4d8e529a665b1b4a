//! System calls that a child does without once it is the binary.
//!
//! One of the files outside `src/ring` with `unsafe`: the child takes a seccomp filter upon
//! itself before it becomes the binary.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the filter's instructions are made of (linux/filter.h, linux/bpf_common.h).
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What becomes of the calls.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// They fail with this error.
    Fails(i32),
    /// They never return: each is shown to a supervisor (seccomp_unotify(2)), which is the
    /// process itself and never looks.
    Hangs,
}

/// The command, whose process finds these system calls so.
pub fn without(mut command: Command, calls: &[libc::c_long], outcome: Outcome) -> Command {
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let (answer, flags) = match outcome {
        Outcome::Fails(errno) => (libc::SECCOMP_RET_ERRNO | errno as u32, 0),
        Outcome::Hangs => (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
    };
    // The number of the call is the first word of what a filter is shown.
    let mut filter = vec![step(LOAD_WORD, 0, 0)];
    for (index, call) in calls.iter().enumerate() {
        let over_the_rest = (calls.len() - index) as u8;
        filter.push(step(JUMP_IF_EQUAL, over_the_rest, *call as u32));
    }
    filter.push(step(RETURN, 0, libc::SECCOMP_RET_ALLOW));
    filter.push(step(RETURN, 0, answer));
    let take_filter = move || {
        let program =
            libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the kernel copies `len` instructions during the second call, and
        // does not write to them; `filter` outlives it.
        let supervisor = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program)
        };
        if supervisor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: no memory is involved. Calls fail at once where nobody supervises, so
        // the descriptor, which is this process's, stays open in the binary.
        let keep = || unsafe { libc::fcntl(supervisor as libc::c_int, libc::F_SETFD, 0) };
        if flags == 0 || keep() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes three system calls and nothing else:
    // no lock, no allocation.
    unsafe { command.pre_exec(take_filter) };
    command
}

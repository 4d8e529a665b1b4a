//! What peers do against RFC 6455, with the close code and the name of each.
//!
//! Deliberately absent: faults of the HTTP request before the upgrade (`refusal`).

/// What a peer did that RFC 6455 forbids, or that passes a limit. The
/// connection ends: nothing after a fault can be trusted to be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameError {
    /// A reserved bit is set, and no extension was negotiated (5.2).
    ReservedBits,
    /// An opcode that the RFC keeps for later (5.2).
    ReservedOpcode,
    /// A client's frame without a mask (5.1).
    MaskMissing,
    /// A server's frame with a mask (5.1).
    MaskUnexpected,
    /// A control frame that is not its message's only frame (5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (5.5).
    ControlTooLong,
    /// A length that has a shorter form (5.2).
    LengthNotMinimal,
    /// A length with its highest bit set (5.2).
    LengthOutOfRange,
    /// A continuation, and nothing to be continued (5.4).
    ContinuationUnexpected,
    /// A new message before the last fragment of the one before (5.4).
    MessageInterrupted,
    /// More bytes than a message may have.
    MessageTooLong,
    /// Text that is not UTF-8 (8.1).
    TextNotUtf8,
    /// A close frame with half a code (5.5.1).
    CloseTooShort,
    /// A close code that may not be sent (7.4).
    CloseCodeInvalid,
    /// A close reason that is not UTF-8 (5.5.1).
    ReasonNotUtf8,
}

impl FrameError {
    /// All of them, for tables by fault.
    pub const ALL: [FrameError; 15] = [
        FrameError::ReservedBits,
        FrameError::ReservedOpcode,
        FrameError::MaskMissing,
        FrameError::MaskUnexpected,
        FrameError::ControlFragmented,
        FrameError::ControlTooLong,
        FrameError::LengthNotMinimal,
        FrameError::LengthOutOfRange,
        FrameError::ContinuationUnexpected,
        FrameError::MessageInterrupted,
        FrameError::MessageTooLong,
        FrameError::TextNotUtf8,
        FrameError::CloseTooShort,
        FrameError::CloseCodeInvalid,
        FrameError::ReasonNotUtf8,
    ];

    /// The code that the peer is told in the close frame (7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            FrameError::ReservedBits
            | FrameError::ReservedOpcode
            | FrameError::MaskMissing
            | FrameError::MaskUnexpected
            | FrameError::ControlFragmented
            | FrameError::ControlTooLong
            | FrameError::LengthNotMinimal
            | FrameError::LengthOutOfRange
            | FrameError::ContinuationUnexpected
            | FrameError::MessageInterrupted
            | FrameError::CloseTooShort
            | FrameError::CloseCodeInvalid => 1002,
            FrameError::TextNotUtf8 | FrameError::ReasonNotUtf8 => 1007,
            FrameError::MessageTooLong => 1009,
        }
    }

    /// The name in metrics and logs, and the reason in the close frame.
    pub fn label(self) -> &'static str {
        match self {
            FrameError::ReservedBits => "reserved_bits",
            FrameError::ReservedOpcode => "reserved_opcode",
            FrameError::MaskMissing => "mask_missing",
            FrameError::MaskUnexpected => "mask_unexpected",
            FrameError::ControlFragmented => "control_fragmented",
            FrameError::ControlTooLong => "control_too_long",
            FrameError::LengthNotMinimal => "length_not_minimal",
            FrameError::LengthOutOfRange => "length_out_of_range",
            FrameError::ContinuationUnexpected => "continuation_unexpected",
            FrameError::MessageInterrupted => "message_interrupted",
            FrameError::MessageTooLong => "message_too_long",
            FrameError::TextNotUtf8 => "text_not_utf8",
            FrameError::CloseTooShort => "close_too_short",
            FrameError::CloseCodeInvalid => "close_code_invalid",
            FrameError::ReasonNotUtf8 => "reason_not_utf8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_fault_has_a_name_of_its_own() {
        let labels: BTreeSet<_> = FrameError::ALL.iter().map(|fault| fault.label()).collect();
        assert_eq!(labels.len(), FrameError::ALL.len());
    }
}

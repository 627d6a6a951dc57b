"""What an attester says, parsed whole and believed not at all: challenge, envelope, kinds."""

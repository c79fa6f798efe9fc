package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

const (
	passwordLength   = 32
	passwordAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	// fairBytes is the largest multiple of the alphabet's size that fits a byte. With larger bytes some letters would
	// come more often.
	fairBytes = 256 / len(passwordAlphabet) * len(passwordAlphabet)
)

// NewPassword makes a password of 32 letters and digits, 190 bits, from random bytes.
func NewPassword(random io.Reader) (string, error) {
	var password strings.Builder
	buffer := make([]byte, 2*passwordLength)
	for {
		if _, err := io.ReadFull(random, buffer); err != nil {
			return "", fmt.Errorf("make a password: %w", err)
		}
		for _, b := range buffer {
			if int(b) < fairBytes {
				password.WriteByte(passwordAlphabet[int(b)%len(passwordAlphabet)])
			}
			if password.Len() == passwordLength {
				return password.String(), nil
			}
		}
	}
}

// Usable tells whether a password found in a Secret can be kept: 16 to 128 printable ASCII characters without those
// that one of the files in the Secret would have to escape.
func Usable(password string) bool {
	if len(password) < 16 || len(password) > 128 {
		return false
	}
	for _, c := range []byte(password) {
		if c <= ' ' || c > '~' || strings.IndexByte("\"'\\=#;", c) >= 0 {
			return false
		}
	}
	return true
}

// PasswordHash lets a status tell passwords apart without holding them. It is salted with the object's UID, so that
// equal passwords of two users look different. A slow hash is not needed: nobody can search 190 random bits.
func PasswordHash(uid, password string) string {
	mac := hmac.New(sha256.New, []byte(uid))
	mac.Write([]byte(password))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

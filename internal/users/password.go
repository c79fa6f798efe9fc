package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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

// Generated tells whether a password is one that NewPassword makes, which nobody can find by trying.
func Generated(password string) bool {
	return len(password) == passwordLength && strings.Trim(password, passwordAlphabet) == ""
}

const saltBytes = 16

// NewSalt makes the salt of a password's hash from random bytes. It is kept beside the password, in its Secret, and is
// as secret: without it somebody who may read the status could try out passwords.
func NewSalt(random io.Reader) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	return hex.EncodeToString(salt), nil
}

// IsSalt tells whether NewSalt may have made it.
func IsSalt(salt string) bool {
	raw, err := hex.DecodeString(salt)
	return err == nil && len(raw) == saltBytes
}

// PasswordHash lets a status tell passwords apart without holding them. A password of the operator's that has no salt
// yet is hashed with the UID of its object: nobody can search 190 random bits.
func PasswordHash(salt, password string) string {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte(password))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// MadeFrom returns what an object has on record in this incarnation of the cluster, if that was made from a password
// with this hash; nil = it was not. It may also have been recorded before the password had a salt.
func MadeFrom(u *v1alpha1.KafkaUser, clusterID, hash, password string) *v1alpha1.Credentials {
	c := Recorded(u, clusterID)
	if c == nil || c.PasswordHash != hash && c.PasswordHash != PasswordHash(string(u.UID), password) {
		return nil
	}
	return c
}

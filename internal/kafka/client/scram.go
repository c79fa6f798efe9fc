package client

import (
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

const saltBytes = 32

// scramHashes holds the mechanisms that Kafka stores credentials for (KIP-554).
var scramHashes = map[kadm.ScramMechanism]func() hash.Hash{
	kadm.ScramSha256: sha256.New,
	kadm.ScramSha512: sha512.New,
}

func scramMechanism(name string) (kadm.ScramMechanism, error) {
	for m := range scramHashes {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, &kafka.Refusal{
		Code: kerr.UnsupportedSaslMechanism.Message, Message: "Kafka stores no credentials for the mechanism " + name,
	}
}

// ScramCredentials implements kafka.UserAdmin with one request per thousand users, or with one for all.
func (c *Client) ScramCredentials(ctx context.Context, users []string) (map[string][]kafka.ScramCredential, error) {
	if users == nil {
		return c.scramCredentials(ctx, nil)
	}
	found := make(map[string][]kafka.ScramCredential, len(users))
	// Without users there is no request: Kafka takes an empty list for all users.
	for chunk := range slices.Chunk(users, itemsPerRequest) {
		some, err := c.scramCredentials(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for user, credentials := range some {
			found[user] = credentials
		}
	}
	return found, nil
}

func (c *Client) scramCredentials(ctx context.Context, users []string) (map[string][]kafka.ScramCredential, error) {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, user := range users {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = user
		req.Users = append(req.Users, u)
	}
	resp, err := read[*kmsg.DescribeUserSCRAMCredentialsResponse](ctx, c, req)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("describe SCRAM credentials: %w", err)
	}
	found := make(map[string][]kafka.ScramCredential, len(resp.Results))
	for _, r := range resp.Results {
		if r.ErrorCode == kerr.ResourceNotFound.Code {
			continue
		}
		credentials, err := credentialsOf(&r)
		if err != nil {
			return nil, fmt.Errorf("describe SCRAM credentials of user %q: %w", r.User, err)
		}
		if len(credentials) > 0 {
			found[r.User] = credentials
		}
	}
	return found, nil
}

func credentialsOf(r *kmsg.DescribeUserSCRAMCredentialsResponseResult) ([]kafka.ScramCredential, error) {
	if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
		return nil, err
	}
	var credentials []kafka.ScramCredential
	for _, info := range r.CredentialInfos {
		m := kadm.ScramMechanism(info.Mechanism)
		if scramHashes[m] == nil {
			return nil, fmt.Errorf("mechanism number %d is neither SCRAM-SHA-256 nor SCRAM-SHA-512", info.Mechanism)
		}
		credentials = append(credentials, kafka.ScramCredential{Mechanism: m.String(), Iterations: info.Iterations})
	}
	slices.SortFunc(credentials, func(a, b kafka.ScramCredential) int { return cmp.Compare(a.Mechanism, b.Mechanism) })
	return credentials, nil
}

// scramChange is either an upsert or a deletion.
type scramChange struct {
	upsert   *kafka.ScramUpsert
	deletion *kafka.ScramDeletion
}

// AlterScramCredentials implements kafka.UserAdmin. Kafka 4.3 takes one change per user in a request and refuses more
// with DUPLICATE_RESOURCE, although the protocol has room for one per mechanism. It therefore sends as many requests as
// one user has changes at most. A user's upserts come first. After a refusal it sends nothing more of that user.
// Deleting a credential that does not exist is no error. The password never leaves the process: the salted password is
// computed here.
func (c *Client) AlterScramCredentials(
	ctx context.Context, upserts []kafka.ScramUpsert, deletions []kafka.ScramDeletion,
) (map[string]error, error) {
	byUser := map[string][]scramChange{}
	for i := range upserts {
		byUser[upserts[i].User] = append(byUser[upserts[i].User], scramChange{upsert: &upserts[i]})
	}
	for i := range deletions {
		byUser[deletions[i].User] = append(byUser[deletions[i].User], scramChange{deletion: &deletions[i]})
	}
	results := make(map[string]error, len(byUser))
	for round := 0; len(byUser) > 0; round++ {
		done, err := c.alterScram(ctx, round, byUser)
		if err != nil && round == 0 {
			return nil, err
		}
		for user, changes := range byUser {
			results[user] = cmp.Or(err, done[user])
			if results[user] != nil || round+1 == len(changes) {
				delete(byUser, user)
			}
		}
	}
	return results, nil
}

// alterScram sends one change of every user, the one at index round.
func (c *Client) alterScram(ctx context.Context, round int, byUser map[string][]scramChange) (map[string]error, error) {
	const attempt = "alter SCRAM credentials of user"
	return eachName(byUser, oneRecord, attempt, func(users []string, results map[string]error) error {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		for _, user := range users {
			if err := addScram(req, byUser[user][round]); err != nil {
				results[user] = err
			}
		}
		if len(req.Upsertions)+len(req.Deletions) == 0 {
			return nil
		}
		resp, err := write[*kmsg.AlterUserSCRAMCredentialsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, r := range resp.Results {
			results[r.User] = answered(r.ErrorCode, r.ErrorMessage)
			if r.ErrorCode == kerr.ResourceNotFound.Code { // of a deletion: there is nothing to delete
				results[r.User] = nil
			}
		}
		return nil
	})
}

func addScram(req *kmsg.AlterUserSCRAMCredentialsRequest, change scramChange) error {
	if change.upsert != nil {
		item, err := scramUpsertion(*change.upsert)
		if err == nil {
			req.Upsertions = append(req.Upsertions, item)
		}
		return err
	}
	m, err := scramMechanism(change.deletion.Mechanism)
	if err == nil {
		item := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		item.Name, item.Mechanism = change.deletion.User, int8(m)
		req.Deletions = append(req.Deletions, item)
	}
	return err
}

func scramUpsertion(u kafka.ScramUpsert) (kmsg.AlterUserSCRAMCredentialsRequestUpsertion, error) {
	item := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	m, err := scramMechanism(u.Mechanism)
	if err != nil {
		return item, err
	}
	// Kafka's own bounds, checked before the hashing: its time grows with the iterations.
	if u.Iterations < 4096 || u.Iterations > 16384 {
		return item, &kafka.Refusal{
			Code:    kerr.UnacceptableCredential.Message,
			Message: fmt.Sprintf("%d iterations are not in 4096..16384", u.Iterations),
		}
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	newHash := scramHashes[m]
	salted, err := pbkdf2.Key(newHash, u.Password, salt, int(u.Iterations), newHash().Size())
	if err != nil {
		return item, fmt.Errorf("salt password: %w", err)
	}
	item.Name, item.Mechanism, item.Iterations = u.User, int8(m), u.Iterations
	item.Salt, item.SaltedPassword = salt, salted
	return item, nil
}

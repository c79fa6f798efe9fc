//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/test/bench"
)

// There are no kubelets. What one does about the Secret with the brokers' files is done here: a change is in the files
// of all brokers of a side as long after it as a kubelet takes whose pod was touched.
const kubeletTakes = 300 * time.Millisecond

// mount follows the Secret of a side until ctx ends.
func (l *life) mount(ctx context.Context, side *bench.Side) error {
	if l.row.Store == mechanism.ScramCredentials {
		return nil
	}
	watching, err := l.world.Watch(ctx, &corev1.SecretList{}, side.Namespace)
	if err != nil {
		return err
	}
	go func() {
		var latest *corev1.Secret
		due := time.NewTimer(time.Hour)
		for {
			select {
			case event, open := <-watching.ResultChan():
				if !open {
					return
				}
				secret, is := event.Object.(*corev1.Secret)
				if !is || secret.Name != render.PlainUsersSecret(bench.ClusterName) {
					continue
				}
				if latest == nil { // else a look is under way
					due.Reset(kubeletTakes)
				}
				latest = secret
			case <-due.C:
				if latest == nil {
					continue
				}
				for name, content := range latest.Data {
					if err := replace(filepath.Join(side.Dir, name), content); err != nil {
						fmt.Fprintln(os.Stderr, "benchusers:", err)
					}
				}
				latest = nil
			}
		}
	}()
	return nil
}

// replace gives readers the old file or the new one, and nothing between.
func replace(path string, content []byte) error {
	return errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path))
}

// writeFile puts users, and nobody else, into the brokers' file in the operator's place, and waits until they have it.
func (l *life) writeFile(ctx context.Context, side *bench.Side, names []string, round int) error {
	entry, content, err := l.file(names, round)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: side.Namespace, Name: render.PlainUsersSecret(bench.ClusterName)}
	err = l.world.Kube.Get(ctx, key, secret)
	data := map[string][]byte{render.UsersEntry: plainauth.UsersFile(nil), entry: content}
	switch {
	case apierrors.IsNotFound(err):
		owner := metav1.NewControllerRef(l.world.Cluster, v1alpha1.GroupVersion.WithKind("KafkaCluster"))
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name,
			Labels: model.Labels(bench.ClusterName), OwnerReferences: []metav1.OwnerReference{*owner}}
		secret.Data = data
		err = l.world.Kube.Create(ctx, secret)
	case err == nil:
		maps.Copy(secret.Data, data)
		err = l.world.Kube.Update(ctx, secret)
	}
	if err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if there, err := os.ReadFile(filepath.Join(side.Dir, entry)); err != nil || bytes.Equal(there, content) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// file is the brokers' file with a line for each user.
func (l *life) file(names []string, round int) (entry string, content []byte, err error) {
	if l.row.Store == mechanism.CertificateFile {
		lines := make([]plainauth.UserCertificate, len(names))
		for i, name := range names {
			certificate, err := l.certificate(name, round).Certificate()
			if err != nil {
				return "", nil, err
			}
			lines[i] = plainauth.CertificateOf(name, certificate)
		}
		return render.CertificatesEntry, plainauth.CertificateList(lines), nil
	}
	lines := make([]plainauth.Entry, len(names))
	for i, name := range names {
		salt := make([]byte, plainauth.MinSaltBytes)
		_, _ = rand.Read(salt) // never fails (crypto/rand)
		password := l.credential(name, round).Password
		if lines[i], err = plainauth.Hash(name, password, salt, plainauth.DefaultIterations); err != nil {
			return "", nil, err
		}
	}
	return render.UsersEntry, plainauth.UsersFile(lines), nil
}

package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// certManagerModule is what hack/tools/cert-manager runs, and where its definitions are.
const certManagerModule = "github.com/cert-manager/cert-manager"

var certManagerVersion = schema.GroupVersion{Group: "cert-manager.io", Version: "v1"}

// The names in docs/certificates.md.
const (
	certManagerFence                    = "```yaml cert-manager"
	docsAuthority, docsOwn, docsTrusted = "kafka-root", "kafka-secure", "ca.crt"
)

// cert-manager issues what the page says it does, renews it with another key under a client's eyes, replaces the root,
// and makes a Secret again that was deleted. No broker restarts.
func TestCase35_CertManagerIssuesRenewsAndReplacesWhatAListenerPresents(t *testing.T) {
	long(t)
	ns := shared(t)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, cluster)
	before := lives(t, ns, sharedName)
	startCertManager(t)
	certified(t, cluster, docsOwn)
	eventually(t, 30*time.Second, "the listener says what it waits for", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "CertificateSecret", []string{"spec.listeners[secure].tls.certificateSecret.name",
			`there is no Secret "` + docsOwn + `"`, "kubectl describe certificate"})
	})
	apply(t, ns, certManagerManifest(t, ns))
	first := issuedBy(t, ns, docsOwn, "")
	figureSeconds(t, "cert-manager-in-force", mustShow(t, ns, first))
	waitTrusted(t, cluster, secretData(t, ns, docsOwn)[docsTrusted])
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, ownListener)
	l.ca = secretData(t, ns, docsOwn)[docsTrusted]
	mustProduceFromJava(t, ns, "issued")
	f := startFlow(t, l, sharedTopic, "cert-manager")

	key := secretData(t, ns, docsOwn)["tls.key"]
	renew(t, ns, docsOwn)
	second := issuedBy(t, ns, docsOwn, first)
	figureSeconds(t, "cert-manager-renewed", mustShow(t, ns, second))
	if bytes.Equal(key, secretData(t, ns, docsOwn)["tls.key"]) {
		t.Error("rotationPolicy Always has kept the key")
	}
	f.progress(t, 30*time.Second)
	if err := kube.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: docsOwn}}); err != nil {
		t.Fatal(err)
	}
	third := issuedBy(t, ns, docsOwn, second)
	mustShow(t, ns, third)
	f.progress(t, 30*time.Second)
	f.stopServed(t)

	root := l.ca
	renew(t, ns, docsAuthority)
	issuedBy(t, ns, docsAuthority, serialIn(root))
	renew(t, ns, docsOwn)
	fourth := issuedBy(t, ns, docsOwn, third)
	mustShow(t, ns, fourth)
	l.ca = secretData(t, ns, docsOwn)[docsTrusted]
	if bytes.Equal(root, l.ca) {
		t.Fatal("the root is the former one")
	}
	waitTrusted(t, cluster, l.ca)
	if err := tryToProduce(t, l, sharedTopic); err != nil {
		t.Errorf("who trusts the new root alone: %v", err)
	}
	mustProduceFromJava(t, ns, "another-root")
	certified(t, cluster, "")
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
}

// An issuer that takes its time and gives no root, as ACME does: until it answers, cert-manager writes a certificate that
// nobody trusts, if it is asked to.
func TestCase35_ATemporaryCertificateOfCertManagersIsNotPresented(t *testing.T) {
	long(t)
	ns := shared(t)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, cluster)
	before := lives(t, ns, sharedName)
	startCertManager(t)
	names, err := json.Marshal(namesOf(t, cluster, ownListener))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, ns, fmt.Sprintf(`
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: public, annotations: {cert-manager.io/issue-temporary-certificate: "true"}}
spec:
  secretName: public
  secretTemplate: {labels: {kafka.castellan.dev/use: listener-certificate}}
  issuerRef: {group: acme.example.com, kind: Public, name: slow}
  dnsNames: %s
  privateKey: {algorithm: RSA, size: 2048, encoding: PKCS1, rotationPolicy: Always}
`, names))
	respond(t, ns, nil)
	temporary := issuedBy(t, ns, "public", "")
	certified(t, cluster, "public")
	eventually(t, 30*time.Second, "it is refused", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "CertificateSecret", []string{"is a temporary one", "kubectl describe certificate"})
	})
	own := loginOf(t, ns, adminUser).at(t, ns, sharedName, ownListener)
	if err := tryToProduce(t, own, sharedTopic); err != nil {
		t.Errorf("what the cluster's own authority has signed does not go on: %v", err)
	}
	root := newIssuer(t, "public root", nil)
	respond(t, ns, newIssuer(t, "public middle", root))
	mustShow(t, ns, issuedBy(t, ns, "public", temporary))
	if secretData(t, ns, "public")["ca.crt"] != nil {
		t.Error("the issuer has given no root, and the Secret has one")
	}
	eventually(t, 30*time.Second, "clients are told of a public authority", func(ctx context.Context) error {
		if at := statusOf(ctx, cluster, ownListener); !at.PublicAuthority {
			return fmt.Errorf("%+v", at)
		}
		return isReady(ctx, cluster)
	})
	own.ca = root.pem()
	if err := tryToProduce(t, own, sharedTopic); err != nil {
		t.Errorf("who trusts the root alone: %v", err)
	}
	certified(t, cluster, "")
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
}

// startCertManager runs the controllers of cert-manager beside the cluster until the case ends, with their definitions.
func startCertManager(t *testing.T) {
	t.Helper()
	if !isLocal() {
		t.Skip("another cluster may have a cert-manager of its own")
	}
	tools := filepath.Join("hack", "tools", "cert-manager")
	kinds := []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}
	var files []string
	for _, kind := range kinds {
		files = append(files, certManagerVersion.Group+"_"+kind+".yaml")
	}
	for _, kind := range []string{"challenges", "orders"} {
		files = append(files, "acme.cert-manager.io_"+kind+".yaml")
	}
	installDefinitions(t, tools, certManagerModule, filepath.Join("deploy", "crds"), files)
	eventually(t, 30*time.Second, "the API server knows cert-manager's kinds", func(ctx context.Context) error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(certManagerVersion.WithKind("CertificateList"))
		return kube.List(ctx, list)
	})
	program, err := script(t.Context(), "hack/tool.sh", "cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "--kubeconfig", kubeconfig)
	log, err := os.Create(filepath.Join(t.TempDir(), "cert-manager.log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	life, err := command.StdinPipe() // it ends with us, however we end
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = life.Close()
		_ = command.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("cert-manager: %s", tail(string(text)))
		}
	})
	ns := common.namespace
	t.Cleanup(func() { // before it ends: nobody else makes Secrets again
		for _, name := range []string{docsOwn, docsAuthority, "public"} {
			for _, o := range []client.Object{certManagerObject("Certificate", ns, name),
				&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}} {
				if err := client.IgnoreNotFound(kube.Delete(context.Background(), o)); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func certManagerObject(kind, ns, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(certManagerVersion.WithKind(kind))
	u.SetNamespace(ns)
	u.SetName(name)
	return u
}

// certManagerManifest is what docs/certificates.md prints, for another namespace than kafka.
func certManagerManifest(t *testing.T, ns string) string {
	t.Helper()
	blocks, err := fencedBlocks(filepath.Join(repository, "docs", "certificates.md"), certManagerFence)
	if err != nil || len(blocks) != 1 {
		t.Fatalf("docs/certificates.md has %d blocks for cert-manager, expected 1 (error %v)", len(blocks), err)
	}
	text := strings.ReplaceAll(blocks[0], ".kafka.svc.", "."+ns+".svc.")
	if text == blocks[0] {
		t.Fatal("docs/certificates.md names no host of a cluster in the namespace kafka")
	}
	return text
}

func secretData(t *testing.T, ns, name string) map[string][]byte {
	t.Helper()
	secret := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

func serialIn(file []byte) string {
	block, _ := pem.Decode(file)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return cert.SerialNumber.String()
}

// issuedBy waits until cert-manager has written another certificate than the one with a serial number, and returns its own.
func issuedBy(t *testing.T, ns, name, former string) (serial string) {
	t.Helper()
	eventually(t, time.Minute, "cert-manager writes Secret "+name, func(ctx context.Context) error {
		secret := &corev1.Secret{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, secret); err != nil {
			return err
		}
		if serial = serialIn(secret.Data["tls.crt"]); serial == "" || serial == former {
			return fmt.Errorf("it has the certificate with serial %q", serial)
		}
		return nil
	})
	return serial
}

// renew does what cmctl renew does.
func renew(t *testing.T, ns, name string) {
	t.Helper()
	eventually(t, 30*time.Second, "Certificate "+name+" is asked for anew", func(ctx context.Context) error {
		certificate := certManagerObject("Certificate", ns, name)
		if err := kube.Get(ctx, client.ObjectKeyFromObject(certificate), certificate); err != nil {
			return err
		}
		return addCondition(ctx, certificate, "Issuing", "True", "ManuallyTriggered")
	})
}

// addCondition puts a condition in the place of the one of its type.
func addCondition(ctx context.Context, o *unstructured.Unstructured, kind, status, reason string) error {
	conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil {
		return err
	}
	conditions = slices.DeleteFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return fields["type"] == kind
	})
	conditions = append(conditions, map[string]any{"type": kind, "status": status, "reason": reason,
		"message": "by a test", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)})
	if err := unstructured.SetNestedSlice(o.Object, conditions, "status", "conditions"); err != nil {
		return err
	}
	return kube.Status().Update(ctx, o)
}

// respond does what an issuer does that is not cert-manager's own: it says that it works on a request, or signs it, and
// gives the chain without the root.
func respond(t *testing.T, ns string, by *issuer) {
	t.Helper()
	eventually(t, 30*time.Second, "the issuer answers", func(ctx context.Context) error {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(certManagerVersion.WithKind("CertificateRequestList"))
		if err := kube.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for i := range list.Items {
			request := &list.Items[i]
			if group, _, _ := unstructured.NestedString(request.Object, "spec", "issuerRef", "group"); group != "acme.example.com" {
				continue
			}
			if by == nil {
				return addCondition(ctx, request, "Ready", "False", "Pending")
			}
			chain, err := by.answers(t, request)
			if err != nil {
				return err
			}
			if err := unstructured.SetNestedField(request.Object, chain, "status", "certificate"); err != nil {
				return err
			}
			return addCondition(ctx, request, "Ready", "True", "Issued")
		}
		return errors.New("nobody asks")
	})
}

// answers is the chain for a CertificateRequest, as JSON has bytes.
func (i *issuer) answers(t *testing.T, request *unstructured.Unstructured) (string, error) {
	t.Helper()
	spec, _, err := unstructured.NestedMap(request.Object, "spec")
	if err != nil {
		return "", err
	}
	var asked struct {
		Request []byte `json:"request"`
	}
	text, err := json.Marshal(spec)
	if err == nil {
		err = json.Unmarshal(text, &asked)
	}
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(asked.Request)
	if block == nil {
		return "", errors.New("the request is none in PEM form")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	text, err = json.Marshal(i.chain(t, csr.PublicKey, csr.DNSNames))
	return strings.Trim(string(text), `"`), err
}

// waitTrusted waits until clients are told of one root alone, and users' Secrets have it.
func waitTrusted(t *testing.T, cluster kafkaCluster, root []byte) {
	t.Helper()
	eventually(t, time.Minute, "clients are told of the root alone", func(ctx context.Context) error {
		at := statusOf(ctx, cluster, ownListener).CACertificates
		if strings.TrimSpace(at) != strings.TrimSpace(string(root)) {
			return fmt.Errorf("status.listeners has %d certificates", strings.Count(at, "BEGIN CERTIFICATE"))
		}
		return isReady(ctx, cluster)
	})
	if !bytes.Contains(secretOf(t, cluster.Namespace, adminUser).Data["ca.crt"], bytes.TrimSpace(root)) {
		t.Error("ca.crt of the user does not have the root")
	}
}

// mustProduceFromJava runs Kafka's own producer in a pod that has the Secret of the user and nothing else.
func mustProduceFromJava(t *testing.T, ns, name string) {
	t.Helper()
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: java-%[1]s}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: client, secret: {secretName: %[2]s}}
  - {name: tmp, emptyDir: {}}
  containers:
  - name: console
    image: apache/kafka:%[3]s
    command: [/bin/bash, -c]
    args:
    - |
      echo one | /opt/kafka/bin/kafka-console-producer.sh --topic %[4]s --command-config /client/client.%[5]s.properties \
        --bootstrap-server %[6]s
    env: [{name: LOG_DIR, value: /tmp}, {name: KAFKA_HEAP_OPTS, value: -Xmx128m}]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: client, mountPath: /client, readOnly: true}, {name: tmp, mountPath: /tmp}]
`, name, secretOf(t, ns, adminUser).Name, kafkaVersion, sharedTopic, ownListener,
		statusOf(t.Context(), clusterNamed(ns, sharedName), ownListener).BootstrapServers)
	apply(t, ns, pod)
	made := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "java-" + name}}
	t.Cleanup(func() { _ = kube.Delete(context.Background(), made) })
	eventually(t, 2*time.Minute, "Kafka's own producer has ended in a pod", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(made), made); err != nil {
			return err
		}
		if made.Status.Phase != corev1.PodSucceeded && made.Status.Phase != corev1.PodFailed {
			return fmt.Errorf("it is %s", made.Status.Phase)
		}
		return nil
	})
	out, err := kubectl(t.Context(), "logs", "-n", ns, made.Name)
	if err != nil || made.Status.Phase != corev1.PodSucceeded || strings.Contains(out, "rror") {
		t.Errorf("Kafka's own producer: %s, %v: %s", made.Status.Phase, err, tail(out))
	}
}

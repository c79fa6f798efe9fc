//go:build linux

package main

import (
	"fmt"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const (
	asJSON        = "application/json"
	asCBOR        = "application/cbor"
	metadataAlone = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

	mergePatch = "application/merge-patch+json"
	jsonPatch  = "application/json-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

type (
	// group is variants whose costs are compared, with the first of them.
	group struct {
		name     string
		variants []variant
	}
	// variant is one way to write one set of topics.
	variant struct {
		name    string
		set     set
		server  string
		method  string // empty = PATCH
		object  string // "/status", or empty: metadata and spec
		query   string
		sends   string
		accepts string   // empty = JSON
		watches []string // what each accepts that is told of the writes; nil = the operator's, in JSON
		body    func(t *unstructured.Unstructured, turn int) any
	}
)

// status is how the operator writes it, to whose variants the others are compared.
func status(name string, set set, body func(*unstructured.Unstructured, int) any) variant {
	return variant{name: name, set: set, object: "/status", sends: mergePatch, body: body}
}

// with is the same variant but for what change does, under another name.
func (v variant) with(name string, change func(*variant)) variant {
	v.name = name
	change(&v)
	return v
}

func briefly(v *variant)     { v.accepts = metadataAlone }
func unvalidated(v *variant) { v.query = "?fieldValidation=Ignore" }
func asPatch(body func(*unstructured.Unstructured, int) any) func(*variant) {
	return func(v *variant) { v.sends, v.body = jsonPatch, body }
}
func asPut(body func(*unstructured.Unstructured, int) any) func(*variant) {
	return func(v *variant) { v.method, v.sends, v.body = http.MethodPut, asJSON, body }
}
func asApplied(set set, status func(int) fields) func(*variant) {
	return func(v *variant) {
		v.set, v.sends, v.query, v.body = set, applyPatch, "?force=true&fieldManager="+operator, applied(status)
	}
}
func watched(accepts ...string) func(*variant) {
	return func(v *variant) { v.watches = slices.Concat([]string{}, accepts) }
}
func by(server string) func(*variant) { return func(v *variant) { v.server = server } }
func of(set set) func(*variant)       { return func(v *variant) { v.set = set } }
func both(a, b func(*variant)) func(*variant) {
	return func(v *variant) { a(v); b(v) }
}

var (
	today     = status("merge patch, as today", small, merged(changed))
	todayFull = status("merge patch, as today", full, merged(fullStatus))
	announce  = variant{name: "merge patch, as today", set: small, sends: mergePatch, body: announced}
)

var groups = []group{
	{"A small status", []variant{
		today,
		today.with("without field validation", unvalidated),
		today.with("answered by metadata alone", briefly),
		today.with("JSON patch", asPatch(replaced)),
		today.with("PUT", asPut(put(smallStatus))),
		today.with("merge patch, status granular in the CRD", by(byName)),
		today.with("server-side apply", asApplied(smallApplied, smallStatus)),
	}},
	{"A full status", []variant{
		todayFull,
		todayFull.with("without field validation", unvalidated),
		todayFull.with("answered by metadata alone", briefly),
		todayFull.with("JSON patch", asPatch(replacedAll)),
		todayFull.with("PUT", asPut(put(fullStatus))),
		todayFull.with("merge patch, status granular in the CRD", by(byName)),
		todayFull.with("server-side apply", asApplied(fullApplied, fullStatus)),
	}},
	{"Finalizer and annotation", []variant{
		announce,
		announce.with("without field validation", unvalidated),
		announce.with("answered by metadata alone", briefly),
		announce.with("JSON patch", asPatch(announcedByPatch)),
	}},
	{"A small status, by managedFields", []variant{
		today.with("three entries: user, finalizer, status", of(small)),
		today.with("two entries, the least", of(twoEntries)),
		today.with("six entries", of(sixEntries)),
		today.with("none: reset to [{}]", of(noEntries)),
	}},
	{"A small status, by watches", []variant{
		today.with("one", watched(asJSON)),
		today.with("none", watched()),
		today.with("five", watched(slices.Repeat([]string{asJSON}, 5)...)),
		today.with("one of metadata alone", watched(metadataAlone)),
		today.with("five of metadata alone", watched(slices.Repeat([]string{metadataAlone}, 5)...)),
	}},
	{"A small status, by server", []variant{
		today.with("JSON, no fsync", by(usual)),
		today.with("JSON, fsync", by(onDisk)),
		today.with("stored in CBOR, answers and watch in JSON", by(inCBOR)),
		today.with("stored in CBOR, answers and watch too", both(by(inCBOR), inCBORs)),
		today.with("PUT in JSON", asPut(put(smallStatus))),
		today.with("PUT, all in CBOR", both(by(inCBOR), both(asPut(put(smallStatus)), both(inCBORs, sendsCBOR)))),
	}},
}

func inCBORs(v *variant)   { v.accepts, v.watches = asCBOR, []string{asCBOR} }
func sendsCBOR(v *variant) { v.sends = asCBOR }

// changed is what of a small status differs after the spec has changed.
func changed(turn int) fields {
	next := smallStatus(turn)
	return fields{
		"observedGeneration": next["observedGeneration"], "config": next["config"], "conditions": next["conditions"],
	}
}

func merged(status func(int) fields) func(*unstructured.Unstructured, int) any {
	return func(t *unstructured.Unstructured, turn int) any {
		return fields{"metadata": fields{"uid": t.GetUID()}, "status": status(turn)}
	}
}

func applied(status func(int) fields) func(*unstructured.Unstructured, int) any {
	return func(t *unstructured.Unstructured, turn int) any {
		return fields{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": "KafkaTopic",
			"metadata": fields{"uid": t.GetUID()}, "status": status(turn),
		}
	}
}

func put(status func(int) fields) func(*unstructured.Unstructured, int) any {
	return func(t *unstructured.Unstructured, turn int) any {
		next := t.DeepCopy()
		next.SetManagedFields(nil) // which the operator's cache does not keep
		next.Object["status"] = status(turn)
		return next.Object
	}
}

func step(path string, value any) fields { return fields{"op": "add", "path": path, "value": value} }

func replaced(t *unstructured.Unstructured, turn int) any {
	next := changed(turn)
	return []fields{
		step("/metadata/uid", t.GetUID()), step("/status/observedGeneration", next["observedGeneration"]),
		step("/status/config", next["config"]), step("/status/conditions", next["conditions"]),
	}
}

func replacedAll(t *unstructured.Unstructured, turn int) any {
	return []fields{step("/metadata/uid", t.GetUID()), step("/status", fullStatus(turn))}
}

func announced(t *unstructured.Unstructured, turn int) any {
	return fields{"metadata": fields{
		"resourceVersion": t.GetResourceVersion(), "finalizers": []string{v1alpha1.Finalizer},
		"annotations": fields{v1alpha1.AnnotationCreating: intent(turn)},
	}}
}

func announcedByPatch(t *unstructured.Unstructured, turn int) any {
	return []fields{
		step("/metadata/resourceVersion", t.GetResourceVersion()),
		step("/metadata/finalizers", []string{v1alpha1.Finalizer}),
		step("/metadata/annotations/kafka.castellan.dev~1creating", intent(turn)),
	}
}

// intent is as long as the operator's.
func intent(turn int) string { return fmt.Sprintf("topic %s %08d", uuid, turn) }

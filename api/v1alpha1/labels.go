package v1alpha1

// Labels and annotations that the operator writes, or reads. They are part of the API: tools may select by them.
const (
	// LabelManagedBy holds ManagedBy on everything that the operator makes.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the operator's name.
	ManagedBy = "castellan"
	// LabelCluster holds the name of the KafkaCluster.
	LabelCluster = "kafka.castellan.dev/cluster"
	// LabelPool holds the name of the pool.
	LabelPool = "kafka.castellan.dev/pool"
	// LabelBroker and LabelController are "true" on pods with that role.
	LabelBroker     = "kafka.castellan.dev/broker"
	LabelController = "kafka.castellan.dev/controller"
	// EndpointSliceManager is the value of Kubernetes' label endpointslice.kubernetes.io/managed-by on EndpointSlices that
	// the operator writes. Kubernetes' own controllers leave those alone.
	EndpointSliceManager = "kafka.castellan.dev"
	// LabelNodeID holds the node id on claims, per-broker Services and EndpointSlices.
	LabelNodeID = "kafka.castellan.dev/node-id"
	// LabelListener holds the listener's name on its Services.
	LabelListener = "kafka.castellan.dev/listener"
	// LabelVolume holds the volume's name on claims.
	LabelVolume = "kafka.castellan.dev/volume"
	// LabelClusterID holds Kafka's cluster id on claims, so that a KafkaCluster made again takes its disks back.
	LabelClusterID = "kafka.castellan.dev/cluster-id"
	// LabelUser holds the name of the KafkaUser on its connection Secret.
	LabelUser = "kafka.castellan.dev/user"
	// LabelUse is written by users on a Secret of their own: what the operator may read it for. Whoever writes a spec that
	// names a Secret need not be somebody who may read it.
	LabelUse = "kafka.castellan.dev/use"
	// UseExternalCluster is the use by spec.external of a KafkaCluster in the Secret's namespace.
	UseExternalCluster = "external-cluster"
	// UseListenerCertificate is the use by tls.certificateSecret of a listener, UseListenerAuthority that by
	// spec.listenerAuthority.
	UseListenerCertificate = "listener-certificate"
	UseListenerAuthority   = "listener-authority"
	UseClientAuthority     = "client-authority"
	// UseJWKS is the use by authentication.oauth.jwks of a listener: the keys of an issuer, or the certificates by which
	// it is known.
	UseJWKS = "jwks"
	// UsePlugin is the use by authentication.custom of a listener and by spec.tieredStorage: brokers get what is in the
	// Secret.
	UsePlugin = "plugin"
	// UsePassword is the use by authentication.passwordSecret of a KafkaUser in the Secret's namespace.
	UsePassword = "password"

	// AnnotationDirectoryID holds, on the claim of an initial voter, the directory id that it is formatted with.
	AnnotationDirectoryID = "kafka.castellan.dev/directory-id"
	// AnnotationFounded, "true" on a claim, records that the first quorum of the Kafka cluster in LabelClusterID has been
	// seen. It outlives the KafkaCluster: no disk is formatted as a founder's any more, whoever asks.
	AnnotationFounded = "kafka.castellan.dev/founded"
	// AnnotationFormat tells a pod's start script what to do with an empty metadata disk. Its value is
	// "<pod UID> initial <cluster id> <voters>" or "<pod UID> join <cluster id>", voters as kafka-storage takes them:
	// <id>@<host>:<port>:<directory id>, separated by commas.
	AnnotationFormat = "kafka.castellan.dev/format"
	// AnnotationTouched makes the kubelet refresh a pod's mounts at once; its value is a hash of what was changed.
	AnnotationTouched = "kafka.castellan.dev/touched"
	// AnnotationCertificates does the same for the certificates of listeners; its value is a hash of those that the pod
	// has to show.
	AnnotationCertificates = "kafka.castellan.dev/certificates"
	// AnnotationTokenKeys does the same for the keys of issuers; its value is a hash of them.
	AnnotationTokenKeys = "kafka.castellan.dev/token-keys"
	// AnnotationLogins does the same for the files of custom mechanisms; its value is made anew with each change of them.
	AnnotationLogins = "kafka.castellan.dev/logins"
	// AnnotationPluginFiles does the same for the Secrets of spec.tieredStorage.
	AnnotationPluginFiles = "kafka.castellan.dev/plugin-files"
	// AnnotationTemplateUser and AnnotationTemplateWhole hold the two fingerprints of a pod's template.
	AnnotationTemplateUser  = "kafka.castellan.dev/template-user"
	AnnotationTemplateWhole = "kafka.castellan.dev/template-whole"

	// AnnotationApplied holds the hash of what the operator applied last, so that a field which is no longer rendered is
	// noticed too.
	AnnotationApplied = "kafka.castellan.dev/applied"
	// AnnotationRetried on a StatefulSet is when the operator last had its controller try again to make a pod.
	AnnotationRetried = "kafka.castellan.dev/retried"

	// AnnotationPause, "true" on a KafkaCluster, holds back everything that disturbs. Care goes on.
	AnnotationPause = "kafka.castellan.dev/pause"
	// AnnotationRestart on a KafkaCluster asks for restarts: "<time>" for every node whose pod is older, or a list of
	// "<pool or node id>=<time>" separated by commas; times as in RFC 3339.
	AnnotationRestart = "kafka.castellan.dev/restart"
	// AnnotationReplace, "true" on the claim of a node, permits the claim to be deleted and a new disk to take its
	// place.
	AnnotationReplace = "kafka.castellan.dev/replace"

	// AnnotationDeletionPolicy on a Namespace is the spec.deletionPolicy of the KafkaTopics and KafkaUsers there that have
	// none of their own: Retain, or Delete, which lifts the operator's default where the KafkaCluster is in that
	// namespace.
	AnnotationDeletionPolicy = "kafka.castellan.dev/deletion-policy"

	// AnnotationRequested, on a claim, is the size that the operator last asked for in place of another one. A claim that
	// asks for another size than that was changed by somebody else.
	AnnotationRequested = "kafka.castellan.dev/requested"
	// AnnotationWhenScaled, "Delete" on a claim, records that storage.retention.whenScaled of its pool says so: the claim
	// is deleted once its node has left. It stands there when the pool is no longer in the spec.
	AnnotationWhenScaled = "kafka.castellan.dev/when-scaled"
	// AnnotationApproveBalance on a KafkaCluster whose spec.balancing.approval is Manual lets the operator carry out the
	// plan with this hash, which stands in status.balancing.hash. Another plan needs another word.
	AnnotationApproveBalance = "kafka.castellan.dev/approve-balance"

	// AnnotationReplaceAuthority on a KafkaCluster asks for another key of its certificate authority, once for each value.
	AnnotationReplaceAuthority = "kafka.castellan.dev/replace-ca"
	// AnnotationHoldAuthority, "true" on a KafkaCluster, keeps a replacement where both authorities are trusted and the
	// former one still signs: time for clients to take the new ca.crt.
	AnnotationHoldAuthority = "kafka.castellan.dev/replace-ca-hold"

	// AnnotationCreating records, before a topic or user is created, that this object is about to create it. What is found
	// afterwards is its own, also when Kafka's answer was lost.
	//
	// On a KafkaTopic it is "<cluster id> <UID of the object>", and " <UUID>" of the lost topic that the new one replaces.
	// Of an object from another namespace than the cluster's it counts only beside status.creating, which the operator
	// alone can write.
	//
	// On a KafkaUser of the cluster's namespace it is "<cluster id> <UID of the object> <seal>": the seal can be made by
	// whoever has the private key of the cluster's authority, and nobody else. It counts until the object has a status.
	AnnotationCreating = "kafka.castellan.dev/creating"

	// AnnotationRotatePassword on a KafkaUser asks for another password, once for each value.
	AnnotationRotatePassword = "kafka.castellan.dev/rotate-password"
	// AnnotationPasswordMade, on a connection Secret, tells when its password was made and why: "<time> made" or "<time>
	// rotated", and the value of AnnotationRotatePassword that was carried out. It is written with the password, so that
	// nobody who ends in between makes another one.
	AnnotationPasswordMade = "kafka.castellan.dev/password-made"

	// AnnotationTemplate, on a connection Secret, lists the keys of labels and annotations that are there because
	// spec.binding.metadata asks for them: "label:<key>" and "annotation:<key>", separated by spaces.
	AnnotationTemplate = "kafka.castellan.dev/template"

	// AnnotationFormerSecrets, on a connection Secret, names those whose place it has taken, separated by spaces. They
	// are emptied: what somebody has copied of one is not.
	AnnotationFormerSecrets = "kafka.castellan.dev/former-secrets"

	// AnnotationSalt, on a connection Secret, is the key of status.credentials.passwordHash of its KafkaUser. It is as
	// secret as the password.
	AnnotationSalt = "kafka.castellan.dev/password-salt"

	// AnnotationReissueCertificate on a KafkaUser asks for another certificate, once for each value; the former one
	// opens nothing from then on. On its connection Secret it says for which value the certificate there was issued.
	AnnotationReissueCertificate = "kafka.castellan.dev/reissue-certificate"
	// AnnotationFormerCertificate, on a connection Secret, is the fingerprint of the certificate that was renewed, and
	// that is good until its own end.
	AnnotationFormerCertificate = "kafka.castellan.dev/former-certificate"

	// Finalizer keeps an object until what it stands for in Kafka has been dealt with.
	Finalizer = "kafka.castellan.dev/finalizer"
)

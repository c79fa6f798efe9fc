package client

// SnapshotFrom is what Snapshot does with the broker that it chose.
var SnapshotFrom = (*Client).snapshotFrom

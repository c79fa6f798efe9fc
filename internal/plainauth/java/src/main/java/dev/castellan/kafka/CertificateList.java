package dev.castellan.kafka;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The list of users' certificates, which says whose each is. Its format is described in the Go package plainauth, which
 * writes it. It is asked at every request of every connection, so that it looks at the file ten times a second at most.
 * Whatever cannot be read lets nobody in: a faulty line its own user, a faulty file everybody.
 */
final class CertificateList {

    static final int MAX_FILE_BYTES = 4 << 20;
    private static final int READ_ATTEMPTS = 3;
    static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    private static final Map<Path, CertificateList> LISTS = new ConcurrentHashMap<>();
    private static final Logger LOG = LoggerFactory.getLogger(CertificateList.class);

    private final Path file;
    private volatile State state = new State(null, Map.of(), System.nanoTime() - LOOK_NANOS);
    private String loggedFault = "";

    private CertificateList(Path file) {
        this.file = file;
    }

    /** The list of a file; all connections share it. */
    static CertificateList at(Path file) {
        return LISTS.computeIfAbsent(file, CertificateList::new);
    }

    /** The name of the user whose certificate has the fingerprint, or null. */
    String userOf(String fingerprint) {
        Entry entry = current().byFingerprint().get(fingerprint);
        return entry == null || entry.endSeconds() <= System.currentTimeMillis() / 1000 ? null : entry.user();
    }

    private State current() {
        State known = state;
        return System.nanoTime() - known.looked() < LOOK_NANOS ? known : look();
    }

    private synchronized State look() {
        State known = state;
        long now = System.nanoTime();
        if (now - known.looked() < LOOK_NANOS) {
            return known;
        }
        // More than one attempt, because the kubelet may remove the directory behind a Secret's symlink between the moment
        // we resolve it and the moment we read; the link then already leads to the new one.
        for (int attempt = 1; ; attempt++) {
            try {
                Stamp stamp = Stamp.of(file); // before the read: a change that comes later is then seen by the next look
                boolean changed = !stamp.equals(known.stamp());
                state = new State(stamp, changed ? parse(read(stamp)) : known.byFingerprint(), now);
                if (changed) {
                    LOG.info("List {}: {} certificates of users", file, state.byFingerprint().size());
                }
                loggedFault = "";
                return state;
            } catch (IOException | RuntimeException e) {
                if (attempt == READ_ATTEMPTS) {
                    return refuseEverybody(e.toString(), now);
                }
            }
        }
    }

    private State refuseEverybody(String fault, long now) {
        state = new State(null, Map.of(), now);
        if (!fault.equals(loggedFault)) {
            loggedFault = fault;
            LOG.error("List {} cannot be read, nobody is let in by a user's certificate: {}", file, fault);
        }
        return state;
    }

    private static byte[] read(Stamp stamp) throws IOException {
        try (InputStream in = Files.newInputStream(stamp.path())) {
            byte[] content = in.readNBytes(MAX_FILE_BYTES + 1);
            if (content.length > MAX_FILE_BYTES) {
                throw new IOException("larger than " + MAX_FILE_BYTES + " bytes");
            }
            return content;
        }
    }

    /** Reads all lines. What is wrong with one is told by its number. */
    static Map<String, Entry> parse(byte[] content) {
        Map<String, Entry> all = new HashMap<>();
        String[] lines = new String(content, StandardCharsets.ISO_8859_1).split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            String line = lines[i];
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String[] fields = line.split(":", -1);
            if (fields.length != 3 || !fields[0].matches("[A-Za-z0-9._@+-]{1,128}") || !fields[1].matches("[0-9a-f]{64}")
                    || !fields[2].matches("[1-9][0-9]{0,11}") || all.containsKey(fields[1])) {
                LOG.error("List of users' certificates: line {} lets nobody in", i + 1);
                continue;
            }
            all.put(fields[1], new Entry(fields[0], Long.parseLong(fields[2])));
        }
        return Map.copyOf(all);
    }

    /** Whose a certificate is, and when it ends, in seconds since 1970. */
    record Entry(String user, long endSeconds) {}

    /** What the file held when it was looked at last, in nanoseconds of the process's clock. */
    record State(Stamp stamp, Map<String, Entry> byFingerprint, long looked) {}

    /** What tells one state of the file from the next; the real path, because a Secret's mount swaps a symlink. */
    record Stamp(Path path, FileTime modified, long size, Object key) {
        static Stamp of(Path file) throws IOException {
            Path path = file.toRealPath();
            BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
            return new Stamp(path, now.lastModifiedTime(), now.size(), now.fileKey());
        }
    }
}

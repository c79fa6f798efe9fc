package dev.castellan.kafka;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a file of a mounted Secret holds, parsed again as it changes. It is asked at every request of every connection, so
 * that it looks at the file ten times a second at most.
 */
final class WatchedFile<T> {

    /** Makes sense of a file's content. It never returns null. */
    interface Parser<T> {
        T parse(byte[] content) throws Exception;
    }

    static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
    static final int MAX_BYTES = 4 << 20;
    private static final int READ_ATTEMPTS = 3;
    private static final Logger LOG = LoggerFactory.getLogger(WatchedFile.class);

    private final Path file;
    private final Parser<T> parser;
    private final T unreadable;
    private final T missing;
    private final String consequence;
    private volatile State<T> state;
    private String loggedFault = "";

    /**
     * The file's content is unreadable while nothing can be made of it, for which the log names the consequence, and
     * missing while there is no such file; null = that is the same.
     */
    WatchedFile(Path file, Parser<T> parser, T unreadable, T missing, String consequence) {
        this.file = file;
        this.parser = parser;
        this.unreadable = unreadable;
        this.missing = missing;
        this.consequence = consequence;
        state = new State<>(null, null, unreadable, System.nanoTime() - LOOK_NANOS);
    }

    /** What the file holds. The same content gives the same object. */
    T current() {
        State<T> known = state;
        return System.nanoTime() - known.looked() < LOOK_NANOS ? known.content() : look().content();
    }

    private synchronized State<T> look() {
        State<T> known = state;
        long now = System.nanoTime();
        if (now - known.looked() < LOOK_NANOS) {
            return known;
        }
        // More than one attempt, because the kubelet may remove the directory behind a Secret's symlink between the moment
        // we resolve it and the moment we read; the link then already leads to the new one.
        for (int attempt = 1; ; attempt++) {
            try {
                Stamp stamp = Stamp.of(file); // before the read: a change that comes later is then seen by the next look
                state = stamp.equals(known.stamp()) ? known.at(stamp, now) : read(stamp, known, now);
                loggedFault = "";
                return state;
            } catch (Exception e) {
                if (attempt < READ_ATTEMPTS) {
                    continue;
                }
                if (missing != null && Files.notExists(file)) {
                    state = new State<>(null, null, missing, now);
                    return state;
                }
                return fault(e.toString(), now);
            }
        }
    }

    private State<T> fault(String fault, long now) {
        state = new State<>(null, null, unreadable, now);
        if (!fault.equals(loggedFault)) {
            loggedFault = fault;
            LOG.error("File {} cannot be read, {}: {}", file, consequence, fault);
        }
        return state;
    }

    /** What was only written anew, as all files of a mount are when one of them changes, is not parsed again. */
    private State<T> read(Stamp stamp, State<T> known, long now) throws Exception {
        byte[] content = read(stamp);
        byte[] digest = UsersFile.digestOf(content);
        if (Arrays.equals(digest, known.digest())) {
            return known.at(stamp, now);
        }
        State<T> next = new State<>(stamp, digest, parser.parse(content), now);
        LOG.info("File {}: {}", file, next.content());
        return next;
    }

    private static byte[] read(Stamp stamp) throws IOException {
        try (InputStream in = Files.newInputStream(stamp.path())) {
            byte[] content = in.readNBytes(MAX_BYTES + 1);
            if (content.length > MAX_BYTES) {
                throw new IOException("larger than " + MAX_BYTES + " bytes");
            }
            return content;
        }
    }

    /** What the file held when it was looked at last, in nanoseconds of the process's clock. */
    private record State<T>(Stamp stamp, byte[] digest, T content, long looked) {
        /** The same content, looked at later. */
        State<T> at(Stamp stamp, long now) {
            return new State<>(stamp, digest, content, now);
        }
    }

    /** What tells one state of the file from the next; the real path, because a Secret's mount swaps a symlink. */
    private record Stamp(Path path, FileTime modified, long size, Object key) {
        static Stamp of(Path file) throws IOException {
            Path path = file.toRealPath();
            BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
            return new Stamp(path, now.lastModifiedTime(), now.size(), now.fileKey());
        }
    }
}

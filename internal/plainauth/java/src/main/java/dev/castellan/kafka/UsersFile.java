package dev.castellan.kafka;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.SecretKeySpec;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One of the files of PLAIN users, read again as it changes. What a change leaves alone costs nothing: a file that was
 * only written anew, as all files of a mount are when one of them changes, is not parsed again, and a line that stays the
 * same keeps what is known of it.
 */
final class UsersFile {

    static final int DEFAULT_ITERATIONS = 10_000;
    static final int MIN_ITERATIONS = 4_096;
    static final int MAX_ITERATIONS = 1_000_000;
    static final int MAX_FILE_BYTES = 4 << 20;
    static final int MIN_SALT_BYTES = 16;
    static final int HASH_BYTES = 32;

    private static final int MAX_SALT_BYTES = 64;
    /** A password and the one that it replaces. */
    private static final int LINES_OF_ONE = 2;
    private static final int READ_ATTEMPTS = 3;
    private static final int FAULTS_LOGGED = 10;
    private static final Users NOBODY = new Users(null, null, Map.of(), List.of(), List.of());
    private static final Logger LOG = LoggerFactory.getLogger(UsersFile.class);

    private final Path file;
    /** A file that is not there lets nobody in, and that is as it should be. */
    private final boolean optional;
    private volatile Users users = NOBODY;
    private String loggedFault = "";

    UsersFile(Path file, boolean optional) {
        this.file = file;
        this.optional = optional;
    }

    /**
     * The users of the file as it is now. More than one attempt, because the kubelet may remove the directory behind a
     * Secret's symlink between the moment we resolve it and the moment we read; the link then already leads to the new one.
     */
    Users current() {
        for (int attempt = 1; ; attempt++) {
            try {
                Users known = users;
                return Stamp.of(file).equals(known.stamp()) ? known : reload();
            } catch (IOException | RuntimeException e) {
                if (attempt == READ_ATTEMPTS) {
                    return refuseEverybody(e);
                }
            }
        }
    }

    private synchronized Users reload() throws IOException {
        Stamp stamp = Stamp.of(file); // before the read: a change that comes later is then seen by the next login
        Users known = users;
        if (stamp.equals(known.stamp())) {
            return known;
        }
        byte[] content = read(stamp);
        byte[] digest = digestOf(content);
        loggedFault = "";
        if (Arrays.equals(digest, known.digest())) {
            users = known.at(stamp);
            return users;
        }
        users = parse(stamp, digest, content, known);
        if (!users.faults().isEmpty()) {
            int shown = Math.min(users.faults().size(), FAULTS_LOGGED);
            LOG.error("Users file {}: {} faulty lines let nobody in by PLAIN: {}",
                    file, users.faults().size(), users.faults().subList(0, shown));
        }
        LOG.info("Users file {}: {} users may log in by PLAIN", file, users.byName().size());
        return users;
    }

    private synchronized Users refuseEverybody(Exception cause) {
        users = NOBODY;
        if (optional && Files.notExists(file)) {
            return users;
        }
        String fault = cause.toString(); // the class and the path; never anything that stands in the file
        if (!fault.equals(loggedFault)) {
            loggedFault = fault;
            LOG.error("Users file {} cannot be read, nobody can log in by PLAIN{}: {}", file, optional ? " of it" : "", fault);
        }
        return users;
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

    /** Reads all lines; what is wrong with a line is told by its number and never by its content. */
    static Users parse(Stamp stamp, byte[] digest, byte[] content, Users before) {
        Map<String, User> known = new HashMap<>();
        before.byName().values().forEach(all -> all.forEach(user -> known.put(user.line, user)));
        Map<String, List<User>> byName = new HashMap<>();
        List<Fault> faults = new ArrayList<>();
        String[] lines = new String(content, StandardCharsets.ISO_8859_1).split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            if (lines[i].isEmpty() || lines[i].startsWith("#")) {
                continue;
            }
            try {
                User user = known.containsKey(lines[i]) ? known.get(lines[i]) : parseLine(lines[i]);
                List<User> earlier = byName.computeIfAbsent(user.name, name -> new ArrayList<>(LINES_OF_ONE));
                if (earlier.size() == LINES_OF_ONE) {
                    throw new IllegalArgumentException("the name stands in two earlier lines");
                }
                earlier.add(user);
            } catch (IllegalArgumentException e) {
                faults.add(new Fault(i + 1, e.getMessage()));
            }
        }
        return new Users(stamp, digest, Map.copyOf(byName), List.copyOf(faults), Parts.words(content));
    }

    private static User parseLine(String line) {
        String[] fields = line.split(":", -1);
        if (fields.length != 4) {
            throw new IllegalArgumentException("not four fields");
        }
        String name = decodeName(fields[0]);
        int iterations = decodeIterations(fields[1]);
        byte[] salt = decodeBase64(fields[2]);
        byte[] hash = decodeBase64(fields[3]);
        if (salt.length < MIN_SALT_BYTES || salt.length > MAX_SALT_BYTES) {
            throw new IllegalArgumentException("the salt is too short or too long");
        }
        if (hash.length != HASH_BYTES) {
            throw new IllegalArgumentException("the hash is not of " + HASH_BYTES + " bytes");
        }
        return new User(line, name, iterations, salt, hash);
    }

    private static String decodeName(String text) {
        ByteBuffer bytes = ByteBuffer.allocate(text.length());
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '%') {
                int octet = i + 2 < text.length() ? hexDigit(text.charAt(i + 1)) << 4 | hexDigit(text.charAt(i + 2)) : -1;
                if (octet <= 0 || isUnreserved((char) octet)) {
                    throw new IllegalArgumentException("the name is not percent-encoded as it should be");
                }
                bytes.put((byte) octet);
                i += 2;
            } else if (isUnreserved(c)) {
                bytes.put((byte) c);
            } else {
                throw new IllegalArgumentException("the name is not percent-encoded as it should be");
            }
        }
        if (bytes.flip().remaining() == 0) {
            throw new IllegalArgumentException("the name is empty");
        }
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString(); // reports faults, does not replace them
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("the name is not UTF-8", e);
        }
    }

    /** The value of an upper-case hexadecimal digit, or a number that makes any octet it is part of negative. */
    private static int hexDigit(char c) {
        if (c >= '0' && c <= '9') {
            return c - '0';
        }
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    }

    private static boolean isUnreserved(char c) {
        return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
                || c == '-' || c == '.' || c == '_' || c == '~';
    }

    private static int decodeIterations(String text) {
        if (text.matches("[1-9][0-9]{0,6}")) {
            int iterations = Integer.parseInt(text);
            if (iterations >= MIN_ITERATIONS && iterations <= MAX_ITERATIONS) {
                return iterations;
            }
        }
        throw new IllegalArgumentException("the iterations are not between " + MIN_ITERATIONS + " and " + MAX_ITERATIONS);
    }

    private static byte[] decodeBase64(String text) {
        try {
            byte[] bytes = Base64.getDecoder().decode(text);
            if (Base64.getEncoder().encodeToString(bytes).equals(text)) { // Java alone would forgive missing padding
                return bytes;
            }
        } catch (IllegalArgumentException e) {
            // Java's message would quote the text.
        }
        throw new IllegalArgumentException("not base64 with padding");
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new SecureRandom().nextBytes(bytes);
        return bytes;
    }

    static byte[] digestOf(byte[] content) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(content);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this Java cannot compute SHA-256", e);
        }
    }

    /** What tells one state of the file from the next; the real path, because a Secret's mount swaps a symlink. */
    record Stamp(Path path, FileTime modified, long size, Object key) {
        static Stamp of(Path file) throws IOException {
            Path path = file.toRealPath();
            BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
            return new Stamp(path, now.lastModifiedTime(), now.size(), now.fileKey());
        }
    }

    /** Why a line lets nobody in. */
    record Fault(int line, String reason) {
        @Override
        public String toString() {
            return "line " + line + ": " + reason;
        }
    }

    /**
     * One state of the file. The dearest is the most iterations of a line, 0 if there is none. The depth is the largest
     * number of lines that a name has: while one has two, whatever is refused costs two, so that nobody learns from the
     * time whose password is being replaced. The words say which further files count.
     */
    record Users(Stamp stamp, byte[] digest, Map<String, List<User>> byName, List<Fault> faults, List<String> words,
            int dearest, int depth) {
        Users(Stamp stamp, byte[] digest, Map<String, List<User>> byName, List<Fault> faults, List<String> words) {
            this(stamp, digest, byName, faults, words,
                    byName.values().stream().flatMap(List::stream).mapToInt(user -> user.iterations).max().orElse(0),
                    byName.values().stream().mapToInt(List::size).max().orElse(1));
        }

        /** The same content, written anew. */
        Users at(Stamp later) {
            return new Users(later, digest, byName, faults, words, dearest, depth);
        }
    }

    static final class User {
        final String line;
        final String name;
        final int iterations;
        private final byte[] salt;
        private final byte[] hash;
        /**
         * A keyed digest of the password that matched last: many connections of one user pay for PBKDF2 once. It dies with
         * the line. A wrong password always pays in full.
         */
        private volatile byte[] proof;

        User(String line, String name, int iterations, byte[] salt, byte[] hash) {
            this.line = line;
            this.name = name;
            this.iterations = iterations;
            this.salt = salt;
            this.hash = hash;
        }

        boolean matches(char[] password, SecretKeySpec proofKey) {
            try {
                byte[] shown = proofOf(password, proofKey);
                byte[] seen = proof;
                if (seen != null && MessageDigest.isEqual(seen, shown)) {
                    return true;
                }
                if (!MessageDigest.isEqual(hash, pbkdf2(password))) {
                    return false;
                }
                proof = shown;
                return true;
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException("this Java cannot compute PBKDF2 with HMAC-SHA-256", e);
            }
        }

        private byte[] pbkdf2(char[] password) throws GeneralSecurityException {
            PBEKeySpec spec = new PBEKeySpec(password, salt, iterations, 8 * HASH_BYTES);
            try {
                return SecretKeyFactory.getInstance("PBKDF2WithHmacSHA256").generateSecret(spec).getEncoded();
            } finally {
                spec.clearPassword();
            }
        }

        private static byte[] proofOf(char[] password, SecretKeySpec key) throws GeneralSecurityException {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(key);
            mac.update(StandardCharsets.UTF_8.encode(CharBuffer.wrap(password)));
            return mac.doFinal();
        }
    }
}

/* tensors_npz.c - NPZ: a zip archive whose entries NAME.npy are arrays; by minizip, over the file in memory. */
#define _GNU_SOURCE
#include "tensors.h"
#include "output.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unzip.h>
#include <zip.h>

#define DEFLATE_LIMIT 1032 /* most bytes one byte of deflate data can unpack to */
#define ENTRIES_LIMIT 16384
#define PIECE (1u << 24)

/* --- the file in memory, as minizip wants to read it --- */

typedef struct Stream {
    const uint8_t *bytes;
    uint64_t size, at;
} Stream;

static voidpf stream_open(voidpf opaque, const void *name, int mode) {
    (void)name, (void)mode;
    return opaque;
}

static uLong stream_read(voidpf opaque, voidpf file, void *to, uLong n) {
    Stream *s = file;
    (void)opaque;
    if (n > s->size - s->at) n = s->size - s->at;
    memcpy(to, s->bytes + s->at, n);
    s->at += n;
    return n;
}

static uLong stream_write(voidpf opaque, voidpf file, const void *from, uLong n) {
    (void)opaque, (void)file, (void)from, (void)n;
    return 0;
}

static ZPOS64_T stream_tell(voidpf opaque, voidpf file) {
    (void)opaque;
    return ((Stream *)file)->at;
}

static long stream_seek(voidpf opaque, voidpf file, ZPOS64_T offset, int origin) {
    Stream *s = file;
    (void)opaque;
    uint64_t from = origin == ZLIB_FILEFUNC_SEEK_SET ? 0 : origin == ZLIB_FILEFUNC_SEEK_CUR ? s->at : s->size;
    uint64_t to;
    if (__builtin_add_overflow(from, offset, &to) || to > s->size) return -1;
    s->at = to;
    return 0;
}

static int stream_close(voidpf opaque, voidpf file) {
    (void)opaque, (void)file;
    return 0;
}

static int stream_error(voidpf opaque, voidpf file) {
    (void)opaque, (void)file;
    return 0;
}

/* --- reading --- */

static bool refuse(const deq_tensors *file, const char *entry, const char *why, deq_error *e) {
    if (entry) return deq_fail(e, DEQ_DATA_FORMAT, "'%s': entry '%s' of the archive %s", file->path, entry, why);
    return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is a damaged zip archive: %s", file->path, why);
}

/* Reads n bytes of the current entry, which is open. */
static bool unpack(unzFile zip, void *to, int64_t n) {
    for (char *at = to; n > 0;) {
        int got = unzReadCurrentFile(zip, at, n < PIECE ? (unsigned)n : PIECE);
        if (got <= 0) return false;
        at += got;
        n -= got;
    }
    return true;
}

static char *entry_header(deq_tensors *file, const unz_file_info64 *info, deq_tensor *t) {
    uint8_t start[12];
    int64_t total = (int64_t)info->uncompressed_size, size = total < 12 ? total : 12, need;
    uint8_t *header = NULL;
    char *problem = NULL;
    if (unzOpenCurrentFile(file->archive) != UNZ_OK) return strdup("cannot be unpacked (its local header is damaged)");
    if (!unpack(file->archive, start, size)) problem = strdup("cannot be unpacked: its packed data are damaged");
    need = problem ? 0 : deq_npy_header_bytes(start, size);
    if (!problem && (need < size || need > total || !(header = malloc((size_t)need)))) {
        problem = deq_npy_header(start, size, total, t); /* says what is wrong */
        if (!problem) problem = strdup("has a damaged NPY header");
    }
    if (header) {
        memcpy(header, start, (size_t)size);
        problem = unpack(file->archive, header + size, need - size)
                      ? deq_npy_header(header, need, total, t)
                      : strdup("cannot be unpacked: its packed data are damaged");
        free(header);
    }
    unzCloseCurrentFile(file->archive); /* not read to its end: its checksum is compared later */
    return problem;
}

static bool add_entry(deq_tensors *file, deq_error *e) {
    unz_file_info64 info;
    unz64_file_pos place;
    char name[1024];
    if (unzGetCurrentFileInfo64(file->archive, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK ||
        unzGetFilePos64(file->archive, &place) != UNZ_OK)
        return refuse(file, NULL, "its directory is cut short or overwritten", e);
    if (info.size_filename >= sizeof name || strlen(name) != info.size_filename)
        return refuse(file, NULL, "the name of an entry is too long or holds a zero byte", e);
    size_t length = strlen(name);
    if (length >= 4 && !strcmp(name + length - 4, ".pkl")) { /* torch.save writes one into an archive */
        char sign[80];
        snprintf(sign, sizeof sign, "it holds '%.60s'", name);
        return deq_refuse_pickle(file, sign, e);
    }
    if (length < 5 || strcmp(name + length - 4, ".npy")) return true; /* no array */
    if (info.flag & 1) return refuse(file, name, "is encrypted", e);
    if (info.compression_method != 0 && info.compression_method != Z_DEFLATED)
        return refuse(file, name, "is packed by a method other than deflate", e);
    if (info.compressed_size > (uint64_t)file->size)
        return refuse(file, name, "claims to be longer than the archive", e);
    uint64_t most = info.compression_method ? info.compressed_size * DEFLATE_LIMIT : info.compressed_size;
    if (info.uncompressed_size > most)
        return refuse(file, name, "claims to unpack to more than its packed bytes can hold", e);
    name[length - 4] = 0;
    if (deq_tensors_find(file, name)) return refuse(file, name, "is there twice", e);
    deq_tensor *t = deq_tensors_add(file, name);
    if (!t) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    t->place[0] = place.pos_in_zip_directory;
    t->place[1] = place.num_of_file;
    t->problem = entry_header(file, &info, t);
    return true;
}

static bool without_array(const deq_tensors *file, deq_error *e) {
    return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is an archive without any array", file->path);
}

bool deq_npz_open(deq_tensors *file, deq_error *e) {
    Stream *stream = malloc(sizeof *stream);
    if (!stream) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    *stream = (Stream){file->bytes, (uint64_t)file->size, 0};
    file->stream = stream;
    zlib_filefunc64_def functions = {stream_open, stream_read,  stream_write, stream_tell,
                                     stream_seek, stream_close, stream_error, stream};
    file->archive = unzOpen2_64(file->path, &functions);
    const bool empty = file->size >= 4 && memcmp(file->bytes, "PK\5\6", 4) == 0; /* nothing but the directory's end */
    if (!file->archive && empty) return without_array(file, e);
    if (!file->archive) return refuse(file, NULL, "it has no directory at its end (truncated?)", e);
    unz_global_info64 info;
    if (unzGetGlobalInfo64(file->archive, &info) != UNZ_OK || info.number_entry > ENTRIES_LIMIT)
        return refuse(file, NULL, "it claims more entries than an archive of arrays has", e);
    int code = info.number_entry ? unzGoToFirstFile(file->archive) : UNZ_END_OF_LIST_OF_FILE;
    for (; code == UNZ_OK; code = unzGoToNextFile(file->archive))
        if (!add_entry(file, e)) return false;
    if (code != UNZ_END_OF_LIST_OF_FILE) return refuse(file, NULL, "its directory is cut short or overwritten", e);
    return file->count > 0 || without_array(file, e);
}

bool deq_npz_read(deq_tensors *file, const deq_tensor *t, void *values, int64_t bytes, deq_error *e) {
    unz64_file_pos place = {t->place[0], t->place[1]};
    char skipped[512], more;
    if (unzGoToFilePos64(file->archive, &place) != UNZ_OK || unzOpenCurrentFile(file->archive) != UNZ_OK)
        return refuse(file, t->name, "cannot be unpacked", e);
    bool good = true;
    for (int64_t left = t->array.start; good && left > 0; left -= (int64_t)sizeof skipped)
        good = unpack(file->archive, skipped, left < (int64_t)sizeof skipped ? left : (int64_t)sizeof skipped);
    good = good && unpack(file->archive, values, bytes);
    bool ended = good && unzReadCurrentFile(file->archive, &more, 1) == 0;
    int code = unzCloseCurrentFile(file->archive);
    if (!good) return refuse(file, t->name, "cannot be unpacked: its packed data are damaged or cut short", e);
    if (!ended) return refuse(file, t->name, "is longer than its header says", e);
    return code == UNZ_OK || refuse(file, t->name, "does not have its checksum: it is corrupt", e);
}

void deq_npz_close(deq_tensors *file) {
    if (file->archive) unzClose(file->archive);
    free(file->stream);
    file->archive = file->stream = NULL;
}

/* --- writing: stored, as numpy.savez does, into the file that output.c will commit --- */

static voidpf file_open(voidpf opaque, const void *name, int mode) {
    (void)name, (void)mode;
    return opaque;
}

static uLong file_read(voidpf opaque, voidpf file, void *to, uLong n) {
    (void)opaque;
    return fread(to, 1, n, file);
}

static uLong file_write(voidpf opaque, voidpf file, const void *from, uLong n) {
    (void)opaque;
    return fwrite(from, 1, n, file);
}

static ZPOS64_T file_tell(voidpf opaque, voidpf file) {
    (void)opaque;
    return (ZPOS64_T)ftello(file);
}

static long file_seek(voidpf opaque, voidpf file, ZPOS64_T offset, int origin) {
    (void)opaque;
    static const int whence[] = {
        [ZLIB_FILEFUNC_SEEK_SET] = SEEK_SET, [ZLIB_FILEFUNC_SEEK_CUR] = SEEK_CUR, [ZLIB_FILEFUNC_SEEK_END] = SEEK_END};
    return fseeko(file, (off_t)offset, whence[origin]);
}

static int file_error(voidpf opaque, voidpf file) {
    (void)opaque;
    return ferror((FILE *)file);
}

static bool write_entry(zipFile zip, const deq_tensor_out *t) {
    char name[1024];
    size_t size;
    int64_t bytes = t->array.elements * deq_element_bytes(t->array.type);
    char *header = deq_npy_header_text(&t->array, &size);
    zip_fileinfo info = {.tmz_date = {.tm_mday = 1, .tm_year = 1980}}; /* the same bytes every time */
    bool ok = header && snprintf(name, sizeof name, "%s.npy", t->name) < (int)sizeof name &&
              zipOpenNewFileInZip64(zip, name, &info, NULL, 0, NULL, 0, NULL, 0, 0, bytes > INT32_MAX) == ZIP_OK;
    ok = ok && zipWriteInFileInZip(zip, header, (unsigned)size) == ZIP_OK;
    for (int64_t at = 0; ok && at < bytes; at += PIECE)
        ok = zipWriteInFileInZip(zip, (const char *)t->array.values + at,
                                 bytes - at < PIECE ? (unsigned)(bytes - at) : PIECE) == ZIP_OK;
    ok = ok && zipCloseFileInZip(zip) == ZIP_OK;
    free(header);
    return ok;
}

bool deq_npz_write(const char *path, const deq_tensor_out *list, int n, deq_error *e) {
    deq_output out;
    if (!deq_output_open(&out, path, e)) return false;
    zlib_filefunc64_def functions = {file_open, file_read,    file_write, file_tell,
                                     file_seek, stream_close, file_error, out.file};
    zipFile zip = zipOpen2_64(path, APPEND_STATUS_CREATE, NULL, &functions);
    bool ok = zip != NULL;
    for (int i = 0; ok && i < n; i++) ok = write_entry(zip, &list[i]);
    if (zip && zipClose(zip, DEQ_MADE_BY) != ZIP_OK) ok = false;
    if (ok || ferror(out.file)) return deq_output_commit(&out, e); /* which says why a write failed */
    deq_output_abandon(&out);
    return deq_fail(e, DEQ_OUTPUT, "cannot write '%s' as a zip archive", path);
}

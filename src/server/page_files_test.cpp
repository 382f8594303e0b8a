#include "server/page_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace nautile::server {
namespace {

std::string text_of(const PageFile& file) {
  return page_bytes(file, PageForm::plain);
}

std::string value_of(const Headers& headers, std::string_view name) {
  for (const auto& [key, text] : headers) {
    if (key == name) return text;
  }
  return "";
}

TEST(PageFiles, HoldTheBytesOfTheTree) {
  for (const auto& [path, name] : {std::pair{"/", "index.html"},
                                   {"/page/app.js", "app.js"},
                                   {"/page/layout.css", "layout.css"}}) {
    const PageFile* file = find_page_file(path);
    ASSERT_NE(file, nullptr) << path;
    std::ifstream stream(std::string("src/server/page/") + name, std::ios::binary);
    EXPECT_EQ(text_of(*file), std::string(std::istreambuf_iterator<char>(stream), {})) << path;
  }
  EXPECT_EQ(find_page_file("/page/none.js"), nullptr);
  EXPECT_EQ(find_page_file(""), nullptr);
}

TEST(PageFiles, AreSortedTypedAndTagged) {
  const auto files = page_files();
  EXPECT_TRUE(std::ranges::is_sorted(files, {}, &PageFile::path));
  for (const PageFile& file : files) {
    EXPECT_EQ(find_page_file(file.path), &file);
    EXPECT_FALSE(file.content_type.empty()) << file.path;
    EXPECT_TRUE(file.etag.starts_with('"') && file.etag.ends_with('"')) << file.etag;
    EXPECT_FALSE(file.bytes.empty()) << file.path;
  }
  EXPECT_EQ(find_page_file("/")->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(find_page_file("/page/app.js")->content_type, "text/javascript; charset=utf-8");
}

// What the policy forbids must not be in the page: it would silently do nothing.
TEST(PageFiles, PageHasNothingInline) {
  const std::string page = text_of(*find_page_file("/"));
  EXPECT_EQ(page.find("<style"), std::string::npos);
  EXPECT_EQ(page.find("style="), std::string::npos);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_FALSE(std::regex_search(page, std::regex(" on[a-z]+ *=")));
  for (const char* word : {"unsafe-inline", "unsafe-eval", "*", "http"}) {
    EXPECT_EQ(kContentSecurityPolicy.find(word), std::string_view::npos) << word;
  }
}

TEST(PageFiles, OwnFilesAreFewBytes) {
  std::size_t own = 0;
  for (const PageFile& file : page_files()) {
    if (!file.path.starts_with("/page/vendor/")) own += file.bytes.size();
  }
  EXPECT_LE(own, 60u * 1024);
}

TEST(PageFiles, KnowTheTagsOfIfNoneMatch) {
  const PageFile file{"/", "text/html", "", {}, "\"abc\""};
  for (const char* known : {"\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\"", " \"x\",\t\"abc\" ,"}) {
    EXPECT_TRUE(page_is_known(file, PageForm::stored, known)) << known;
  }
  for (const char* other : {"", "abc", "\"ab\"", "\"abcd\"", ",", " , ", "W/", "\"x\",\"y\""}) {
    EXPECT_FALSE(page_is_known(file, PageForm::stored, other)) << other;
  }
}

TEST(PageFiles, HeadersCarryPolicyAndTag) {
  const PageFile& file = *find_page_file("/");
  const Headers headers = page_headers(file, PageForm::stored);
  EXPECT_EQ(value_of(headers, "Content-Security-Policy"), kContentSecurityPolicy);
  EXPECT_EQ(value_of(headers, "ETag"), file.etag);
  EXPECT_EQ(value_of(headers, "X-Content-Type-Options"), "nosniff");
}

TEST(PageFiles, ArePlainWhereGzipIsNotTaken) {
  const PageFile packed{"/", "text/html", "gzip", {}, "\"abc\""};
  for (const char* takes :
       {"gzip", "GZIP", "x-gzip", "gzip, deflate, br, zstd", "deflate,gzip;q=0.1", "*",
        "br;q=1, *;q=0.2", "identity;q=0, gzip ; q=1.0"}) {
    EXPECT_EQ(page_form(packed, takes), PageForm::stored) << takes;
  }
  for (const char* refuses : {"", "identity", "deflate, br", "gzip;q=0", "gzip; q=0.000", "*;q=0",
                              "*, gzip;q=0", ",", "gzip2", ";gzip"}) {
    EXPECT_EQ(page_form(packed, refuses), PageForm::plain) << refuses;
  }
  const PageFile raw{"/page/x.woff2", "font/woff2", "", {}, "\"abc\""};
  EXPECT_EQ(page_form(raw, ""), PageForm::stored);
}

// Two forms are two things to a cache.
TEST(PageFiles, FormsAreToldApart) {
  const PageFile& file = *find_page_file("/");
  const Headers plain = page_headers(file, PageForm::plain);
  EXPECT_EQ(value_of(plain, "Content-Encoding"), "");
  EXPECT_EQ(page_bytes(file, PageForm::plain).substr(0, 15), "<!doctype html>");
  if (file.encoding.empty()) {  // built without gzip: there is one form
    EXPECT_EQ(value_of(plain, "Vary"), "");
    EXPECT_EQ(page_form(file, ""), PageForm::stored);
    EXPECT_EQ(page_tag(file, PageForm::stored), page_tag(file, PageForm::plain));
    return;
  }
  EXPECT_EQ(value_of(plain, "Vary"), "Accept-Encoding");
  const Headers stored = page_headers(file, PageForm::stored);
  EXPECT_EQ(value_of(stored, "Content-Encoding"), "gzip");
  EXPECT_EQ(value_of(stored, "Vary"), "Accept-Encoding");
  EXPECT_NE(value_of(stored, "ETag"), value_of(plain, "ETag"));
  EXPECT_FALSE(page_is_known(file, PageForm::plain, file.etag));
  EXPECT_TRUE(page_is_known(file, PageForm::plain, page_tag(file, PageForm::plain)));
}

}  // namespace
}  // namespace nautile::server

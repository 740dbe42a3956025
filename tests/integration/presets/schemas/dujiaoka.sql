-- dujiaoka, made from what is known of it: the columns that matter, their types and indexes.
CREATE TABLE pays (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, pay_name VARCHAR(200) NOT NULL, pay_check VARCHAR(50) NOT NULL UNIQUE,
  merchant_id VARCHAR(200), merchant_key TEXT, merchant_pem TEXT NOT NULL, pay_handleroute VARCHAR(200) NOT NULL,
  is_open TINYINT(1) NOT NULL DEFAULT 1, deleted_at TIMESTAMP NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE goods (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, gd_name VARCHAR(200) NOT NULL, in_stock INT NOT NULL DEFAULT 0,
  sales_volume INT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE carmis (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, goods_id INT NOT NULL, status TINYINT NOT NULL DEFAULT 1,
  is_loop TINYINT NOT NULL DEFAULT 0, carmi TEXT NOT NULL, KEY idx_goods (goods_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE orders (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_sn VARCHAR(150) NOT NULL,
  goods_id INT NOT NULL,
  coupon_id INT DEFAULT 0,
  title VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
  type TINYINT(1) NOT NULL DEFAULT 1,
  goods_price DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  buy_amount INT NOT NULL DEFAULT 1,
  coupon_discount_price DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  wholesale_discount_price DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  total_price DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  actual_price DECIMAL(10,2) NOT NULL DEFAULT 0.00,
  search_pwd VARCHAR(200) DEFAULT '',
  email VARCHAR(200) NOT NULL,
  info TEXT CHARACTER SET utf8mb4,
  pay_id INT NULL,
  buy_ip VARCHAR(50) NOT NULL,
  trade_no VARCHAR(200) DEFAULT '',
  status TINYINT(1) NOT NULL DEFAULT 1,
  coupon_ret_back TINYINT(1) NOT NULL DEFAULT 0,
  created_at TIMESTAMP NULL,
  updated_at TIMESTAMP NULL,
  deleted_at TIMESTAMP NULL,
  UNIQUE KEY idx_order_sn (order_sn), KEY idx_goods_id (goods_id), KEY idx_email (email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
